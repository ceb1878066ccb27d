"""The record of one gateway as a process that a test can kill: `python -m tests.fakes.recording FOLDER`."""

import asyncio
import sys
from collections import deque
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from prometheus_client import CollectorRegistry

from smallmodel_operator.gateway.accesslog.counted import Counted
from smallmodel_operator.gateway.accesslog.metrics import RequestMetrics
from smallmodel_operator.gateway.admin import Admin
from smallmodel_operator.gateway.agent import Agent
from smallmodel_operator.gateway.decide.outages import Outages
from smallmodel_operator.gateway.record import part
from smallmodel_operator.gateway.settings import GatewaySettings
from smallmodel_operator.gateway.view import Keys

MASTER = b"m" * 32


def agent_of(folder: Path, admin: Any, **settings: Any) -> Agent:
    """What the record needs of an agent; socket, log and claim are in one folder, where no other is said."""
    ours = {"gateway_dir": folder, "gateway_data_dir": folder, "identity": "gateway-0"} | settings
    return cast(
        Agent,
        SimpleNamespace(
            settings=GatewaySettings(**ours),
            admin=admin,
            world=SimpleNamespace(keys=Keys({}, MASTER), boundaries=SimpleNamespace(synced=False, said=None)),
            writer=SimpleNamespace(versions={"xds/rds.json": "v1"}, given=deque()),
            troubles=[],
            decided=None,
            in_force=None,
            forces=deque(),
            erased={},
            route_policies={},
            outages=Outages(),
        ),
    )


def counted_of(folder: Path) -> Counted:
    """The metrics beside the record, in a registry of their own."""
    return Counted(folder, RequestMetrics(CollectorRegistry()))


async def main(folder: Path) -> None:
    async with Admin(folder / "admin.sock") as admin:
        await part.record(agent_of(folder, admin), counted_of(folder))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
