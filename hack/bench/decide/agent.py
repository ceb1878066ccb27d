"""The agent that is measured: `python -m hack.bench.decide.agent FOLDER`. One route; whoever is called `labelled` has
clean requests scored, everybody else's are kept inside by policy.
"""

import asyncio
import sys
from collections.abc import Collection
from pathlib import Path

from tests.fakes.recording import agent_of, counted_of
from tests.unit.routing.test_choice import some

from smallmodel_operator.gateway.admin import Admin
from smallmodel_operator.gateway.decide.part import decide
from smallmodel_operator.gateway.decide.service import Call, Route
from smallmodel_operator.gateway.record import part
from smallmodel_operator.routing.choice.training import learn_escalation
from smallmodel_operator.routing.policy import Boundary, Escalate, External, RoutePolicy, Target, compiled
from smallmodel_operator.routing.verdict import Can

POLICY = RoutePolicy(
    "support",
    "assistant",
    (Target("small", "support/bot"), Target("cloud", "big-1", inside=False)),
    "small",
    escalation=Escalate(("cloud",), 1.0, "sha256:hard"),
    boundary=Boundary(External.WHEN_CLEAN),
)


def labels(call: Call) -> Collection[str]:
    return ("public",) if call.caller == "labelled" else ()


async def main(folder: Path) -> None:
    ready = compiled(POLICY, {"sha256:hard": learn_escalation(some(400, 1))})
    routes = {POLICY.route: Route(ready, {"small": Can(), "cloud": Can()})}
    async with Admin(folder / "admin.sock") as admin:
        agent = agent_of(folder, admin)
        await asyncio.gather(part.record(agent, counted_of(folder)), decide(agent, routes.get, labels))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
