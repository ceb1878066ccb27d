"""Budgets as a part of the agent's process: begun with the first route that has some, or where some were held."""

import asyncio
import logging
from typing import Final

from smallmodel_operator.cluster.budgets import Registers
from smallmodel_operator.gateway.accesslog.counted import LOG
from smallmodel_operator.gateway.admin import Unreachable
from smallmodel_operator.gateway.agent import Agent
from smallmodel_operator.gateway.budget import metrics
from smallmodel_operator.gateway.budget.counting import Counting
from smallmodel_operator.gateway.budget.journal import NAME, InUse, Journal
from smallmodel_operator.gateway.budget.settling import Settling

WANTED_SECONDS: Final = 0.2
"""How often is looked whether a route has budgets, while none had."""
RETRY_SECONDS: Final = 1.0
"""After the journal could not be opened."""
DEAD_SECONDS: Final = 2.0
"""How often is looked whether Envoy was started anew."""
FOLDER: Final = "budgets"

logger = logging.getLogger(__name__)


class Budgets:
    """The budgets of one gateway. `counting` is None until they can be counted."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._folder = agent.settings.gateway_data_dir / FOLDER
        self._settling: Settling | None = None
        self._problem = ""
        self.counting: Counting | None = None
        agent.troubles.append(lambda: self.problem)

    @property
    def problem(self) -> str:
        """What keeps it from counting; empty: nothing, or there is nothing to count."""
        found = self._problem or (self.counting.problem if self.counting else "")
        return found or (self._settling.problem if self._settling else "")

    async def run(self) -> None:
        """Count until cancelled."""
        while not self._wanted():  # noqa: ASYNC110 - nobody tells of it
            await asyncio.sleep(WANTED_SECONDS)
        journal = await self._opened()
        try:
            await self._count(journal)
        finally:
            journal.close()

    def _wanted(self) -> bool:
        return (self._folder / NAME).exists() or any(r.budgets for r in self._agent.writer.state.routes.values())

    async def _opened(self) -> Journal:
        while True:
            journal = Journal(self._folder)
            try:
                journal.open()
            except (InUse, OSError) as error:
                journal.close()
                self._say(f"budgets cannot be counted: {error}")
                await asyncio.sleep(RETRY_SECONDS)
            else:
                self._say("")
                return journal

    async def _count(self, journal: Journal) -> None:
        settings = self._agent.settings
        registers = Registers(self._agent.client, settings.namespace)
        counting = Counting(settings.identity, journal, registers)
        settling = self._settling = Settling(settings.gateway_data_dir / LOG, journal)
        self.counting = counting
        try:
            async with asyncio.TaskGroup() as tasks:
                for work in (counting.run(), settling.run(), self._bury(counting, settling), self._tell(counting)):
                    tasks.create_task(work)
        finally:
            self.counting = None
            settling.read()
            await counting.sync(idle=0.0)

    async def _bury(self, counting: Counting, settling: Settling) -> None:
        """What an Envoy that is gone took with it is in no log, and counts in full."""
        while True:
            try:
                await self._dead(counting, settling)
            except (Unreachable, OSError) as error:
                logger.debug("%s", error)
            await asyncio.sleep(DEAD_SECONDS)

    async def _dead(self, counting: Counting, settling: Settling) -> None:
        oldest = counting.purse.oldest
        if oldest is None or oldest >= await self._agent.admin.began():
            return
        began = await self._agent.admin.began(exactly=True)
        if not counting.purse.older(began):
            return
        settling.read()  # all that it wrote
        if settling.problem:
            return
        if lost := await counting.write_off(began):
            metrics.LOST.inc(lost)
            logger.warning("%d requests ended with their Envoy: all that was held for them in budgets counts", lost)

    async def _tell(self, counting: Counting) -> None:
        while True:
            metrics.RESERVED.set(sum(map(len, counting.purse.reservations.values())))
            metrics.PROBLEM.set(bool(self.problem))
            await asyncio.sleep(1.0)

    def _say(self, problem: str) -> None:
        if problem and problem != self._problem:
            logger.error("%s", problem)
        self._problem = problem
