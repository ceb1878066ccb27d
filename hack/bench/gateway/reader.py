"""What the agent does for each request: its line of the access log becomes metrics, and a record. Beside it one that
makes the metrics only: what recording costs is what the other takes more, over the same requests."""

import asyncio
import json
import sys
import time
from collections import deque
from pathlib import Path
from types import SimpleNamespace
from typing import Final, cast

from smallmodel_operator.audit.record import COMMIT
from smallmodel_operator.gateway.accesslog.counted import LOG, Counted
from smallmodel_operator.gateway.accesslog.metrics import REQUESTS
from smallmodel_operator.gateway.admin import Admin
from smallmodel_operator.gateway.agent import Agent
from smallmodel_operator.gateway.record.part import record
from smallmodel_operator.gateway.record.segments import segments
from smallmodel_operator.gateway.settings import GatewaySettings
from smallmodel_operator.gateway.view import Keys

METRICS, BOTH = "metrics", "metrics and record"
FLUSH_SECONDS: Final = 1.5
"""Envoy has written what it kept back, and nothing more came."""
CAUGHT_UP_SECONDS: Final = 60


async def main(folder: Path, what: str) -> None:
    """Until killed; log, records and Envoy's admin socket are in one folder."""
    counted = Counted(folder, REQUESTS, position=_position(what))
    if what == METRICS:
        await counted.run()
        return
    async with Admin(folder / "admin.sock") as admin:
        agent = SimpleNamespace(
            settings=GatewaySettings(gateway_dir=folder, gateway_data_dir=folder, identity="bench"),
            admin=admin,
            world=SimpleNamespace(keys=Keys({}, b"m" * 32), boundaries=SimpleNamespace(said=None, synced=True)),
            writer=SimpleNamespace(versions={}, given=deque()),
            troubles=[],
            in_force=None,
            forces=deque(),
        )
        async with asyncio.TaskGroup() as group:
            group.create_task(counted.run())
            group.create_task(record(cast(Agent, agent), counted))


def caught_up(folder: Path) -> None:
    """Return when both have read all that Envoy has to write: what is left unread would cost nothing.

    Raises:
        RuntimeError: they do not get there.
    """
    until = time.monotonic() + CAUGHT_UP_SECONDS
    size, since = -1, time.monotonic()
    while time.monotonic() < until:
        now = (folder / LOG).stat().st_size
        if now != size:
            size, since = now, time.monotonic()
        if time.monotonic() - since > FLUSH_SECONDS and _read(folder) == (size,) * 3:
            return
        time.sleep(0.1)
    raise RuntimeError(f"of {size} bytes of the log, metrics alone, metrics and record have read {_read(folder)}")


def _position(what: str) -> str:
    return f"{what}.position"


def _read(folder: Path) -> tuple[int, ...]:
    """How far metrics alone, metrics and record have read."""
    try:
        counted = [int(json.loads((folder / _position(what)).read_bytes())["offset"]) for what in (METRICS, BOTH)]
        last = segments(folder / "audit")[-1].read_bytes().splitlines()[-1]
        return *counted, int(json.loads(last)[COMMIT]["log"]["offset"])
    except (OSError, ValueError, KeyError, IndexError, TypeError):
        return -1, -1, -1  # nothing yet, or just being written


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
