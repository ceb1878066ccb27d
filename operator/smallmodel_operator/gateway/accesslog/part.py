"""The access log as a part of the agent's process."""

import asyncio
from typing import Final

from smallmodel_operator.gateway.accesslog.counted import LOG, Counted
from smallmodel_operator.gateway.accesslog.metrics import PROBLEM, UNREAD
from smallmodel_operator.gateway.accesslog.rotate import Rotator
from smallmodel_operator.gateway.agent import Agent

TIDY_SECONDS: Final = 10.0
FOLLOW_SECONDS: Final = 1.0
"""How soon a model's new objective is counted against."""


async def read_log(agent: Agent, counted: Counted) -> None:
    """Count, read and bound this gateway's access log, until cancelled."""
    agent.usage = counted.usage
    rotator = Rotator(agent.settings.gateway_data_dir / LOG, agent.admin.reopen_logs)

    async def tidy() -> None:
        while True:
            if agent.synced():
                counted.keep_only(frozenset(agent.writer.targets))
            UNREAD.set(counted.unread)
            # Not a matter of readiness: a gateway whose log is in trouble serves all the same.
            for name, doer in (("read", counted), ("rotate", rotator)):
                PROBLEM.labels(name).set(bool(doer.problem))
            await asyncio.sleep(TIDY_SECONDS)

    async def follow() -> None:
        while True:
            if agent.synced():
                models = agent.world.models.objects.values()
                counted.objectives.follow({m.target: m.bounds for m in models if any(m.bounds)})
                counted.recent.follow({model for r in agent.writer.state.routes.values() for model in r.timed})
            await asyncio.sleep(FOLLOW_SECONDS)

    counted.left, counted.recent = agent.outages.came, agent.recent
    agent.counts = lambda: counted.objectives.said(agent.writer.targets)
    async with asyncio.TaskGroup() as group:
        for work in (counted.run(), rotator.run(), tidy(), follow()):
            group.create_task(work)
