"""The access log as a part of the agent's process."""

import asyncio
from pathlib import Path
from typing import Final

from smallmodel_operator.gateway.accesslog.metrics import GARBAGE, LINES, PROBLEM, UNREAD, RequestMetrics
from smallmodel_operator.gateway.accesslog.observe import observe
from smallmodel_operator.gateway.accesslog.read import LogReader
from smallmodel_operator.gateway.accesslog.rotate import Rotator
from smallmodel_operator.gateway.agent import Agent

LOG: Final = "access.log"
POSITION: Final = "access.log.position"
TIDY_SECONDS: Final = 10.0
REQUESTS: Final = RequestMetrics()


def reader_of(folder: Path, metrics: RequestMetrics) -> LogReader:
    """Reads the log in a folder into metrics."""

    def on_line(line: bytes) -> None:
        metrics.record(observe(line))
        LINES.inc()

    return LogReader(folder / LOG, folder / POSITION, on_line, on_garbage=lambda reason: GARBAGE.labels(reason).inc())


async def read_log(agent: Agent) -> None:
    """Read, bound and count this gateway's access log, until cancelled. For `Agent.run(stop, parts=[read_log])`."""
    folder = agent.settings.gateway_data_dir
    reader = reader_of(folder, REQUESTS)
    rotator = Rotator(folder / LOG, agent.admin.reopen_logs)

    async def tidy() -> None:
        while True:
            if agent.synced():
                REQUESTS.keep_only(frozenset(agent.writer.targets))
            UNREAD.set(reader.unread)
            # Not a matter of readiness: a gateway whose log is in trouble serves all the same.
            for name, doer in (("read", reader), ("rotate", rotator)):
                PROBLEM.labels(name).set(bool(doer.problem))
            await asyncio.sleep(TIDY_SECONDS)

    async with asyncio.TaskGroup() as group:
        for work in (reader.run(), rotator.run(), tidy()):
            group.create_task(work)
