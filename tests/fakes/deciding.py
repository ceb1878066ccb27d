"""Decisions and their record as a process that a test can kill: `python -m tests.fakes.deciding FOLDER`.

One route, support/assistant: `small` inside, `cloud` outside and the default. Who is called `labelled` has a label that
may leave, who is called `crash` makes its decision fail.
"""

import asyncio
import sys
from collections.abc import Collection
from pathlib import Path

from tests.fakes.recording import agent_of, counted_of

from smallmodel_operator.gateway.admin import Admin
from smallmodel_operator.gateway.decide.part import decide
from smallmodel_operator.gateway.decide.service import Call, Route
from smallmodel_operator.gateway.record import part
from smallmodel_operator.routing.policy import Boundary, External, Need, RoutePolicy, Target, compiled
from smallmodel_operator.routing.verdict import Can

POLICY = RoutePolicy(
    "support",
    "assistant",
    (Target("small", "support/bot"), Target("cloud", "big-1", inside=False)),
    "cloud",
    boundary=Boundary(External.WHEN_CLEAN, deny_terms=("project nightingale",)),
)
ROUTES = {POLICY.route: Route(compiled(POLICY, {}), {"small": Can(), "cloud": Can(frozenset({Need.TOOLS}))})}


def labels(call: Call) -> Collection[str]:
    """Those of the callers above."""
    caller = call.caller
    if caller == "crash":
        raise RuntimeError("no labels")
    return ("public",) if caller == "labelled" else ()


async def main(folder: Path) -> None:
    async with Admin(folder / "admin.sock") as admin:
        agent = agent_of(folder, admin)
        await asyncio.gather(part.record(agent, counted_of(folder)), decide(agent, ROUTES.get, labels))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
