"""What the agent does for each request: its line of the access log becomes metrics and a record. A process, so it is
measured."""

import asyncio
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import cast

from smallmodel_operator.gateway.accesslog.part import REQUESTS, reader_of
from smallmodel_operator.gateway.admin import Admin
from smallmodel_operator.gateway.agent import Agent
from smallmodel_operator.gateway.record.part import record
from smallmodel_operator.gateway.settings import GatewaySettings
from smallmodel_operator.gateway.view import Keys


async def main(folder: Path) -> None:
    """Until killed; log, records and Envoy's admin socket are in one folder."""
    async with Admin(folder / "admin.sock") as admin:
        agent = SimpleNamespace(
            settings=GatewaySettings(gateway_dir=folder, gateway_data_dir=folder, identity="bench"),
            admin=admin,
            world=SimpleNamespace(keys=Keys({}, b"m" * 32)),
            writer=SimpleNamespace(versions={}),
            troubles=[],
            in_force=None,
        )
        await asyncio.gather(reader_of(folder, REQUESTS).run(), record(cast(Agent, agent)))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
