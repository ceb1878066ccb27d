"""The agent of a gateway with routes that lead outside, as a process that a test can kill, stop or starve: decisions,
their passes, and the record of both on the disk.

    python -m tests.fakes.leaving_agent FOLDER CLAIM PORT-INSIDE PORT-OF-EGRESS Continue|Refuse [API-SERVER]

With the address of an API server all its routes keep their requests, under keys that are there.
"""

import asyncio
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from kubernetes.aio.client import Configuration
from tests.fakes.recording import agent_of, counted_of
from tests.gateway.outward import state

from smallmodel_operator.cluster.client import Client
from smallmodel_operator.cluster.fence import Fence
from smallmodel_operator.gateway.admin import Admin
from smallmodel_operator.gateway.content import part as content_part
from smallmodel_operator.gateway.content.keeping import Keeping
from smallmodel_operator.gateway.decide.part import decide
from smallmodel_operator.gateway.decide.policies import Policies
from smallmodel_operator.gateway.record import part


async def main(folder: Path, claim: Path, bot: int, egress: int, mode: str, api: str = "") -> None:
    part.RETRY_SECONDS = 0.2  # type: ignore[misc]
    content_part.LOOK_SECONDS = 0.2  # type: ignore[misc]
    found = state(bot, egress, "Redacted" if api else "")
    async with Admin(folder / "admin.sock") as admin:
        agent = agent_of(folder, admin, gateway_data_dir=claim, audit_on_failure=mode)
        agent.writer = cast(Any, SimpleNamespace(**vars(agent.writer), state=found))
        agent.client = Client(Configuration(host=api), Fence.open()) if api else cast(Any, None)
        policies = Policies(lambda: found, lambda _: None, agent.route_policies, agent.outages.resting)
        content = content_part.Content(agent)
        keep = Keeping(lambda: content.keys)
        deciding = decide(agent, policies.route, policies.labels, away=policies.away, keep=keep)
        counted = counted_of(claim)
        counted.left = agent.outages.came
        await asyncio.gather(part.record(agent, counted), counted.run(), deciding, content.run())


if __name__ == "__main__":
    ports = int(sys.argv[3]), int(sys.argv[4])
    asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2]), *ports, *sys.argv[5:]))
