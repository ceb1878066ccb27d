"""The agent of a gateway with routes that lead outside, as a process that a test can kill, stop or starve: decisions,
their passes, and the record of both on the disk.

    python -m tests.fakes.leaving_agent FOLDER CLAIM PORT-INSIDE PORT-OF-EGRESS Continue|Refuse
"""

import asyncio
import sys
from pathlib import Path

from tests.fakes.recording import agent_of, counted_of
from tests.gateway.outward import state

from smallmodel_operator.gateway.admin import Admin
from smallmodel_operator.gateway.decide.part import decide
from smallmodel_operator.gateway.decide.policies import Policies
from smallmodel_operator.gateway.record import part


async def main(folder: Path, claim: Path, bot: int, egress: int, mode: str) -> None:
    part.RETRY_SECONDS = 0.2  # type: ignore[misc]
    found = state(bot, egress)
    async with Admin(folder / "admin.sock") as admin:
        agent = agent_of(folder, admin, gateway_data_dir=claim, audit_on_failure=mode)
        policies = Policies(lambda: found, lambda _: None, agent.route_policies, agent.outages.resting)
        deciding = decide(agent, policies.route, policies.labels, away=policies.away)
        counted = counted_of(claim)
        counted.left = agent.outages.came
        await asyncio.gather(part.record(agent, counted), counted.run(), deciding)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), sys.argv[5]))
