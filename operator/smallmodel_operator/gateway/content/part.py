"""Subjects' keys as a part of the agent's process: begun with the first route that keeps content, or where some was."""

import asyncio
import logging
from typing import Final

from smallmodel_operator.audit.content.files import SUFFIX
from smallmodel_operator.cluster.shared import Away
from smallmodel_operator.cluster.subject_keys import SubjectKeys
from smallmodel_operator.gateway.agent import Agent
from smallmodel_operator.gateway.content import metrics
from smallmodel_operator.gateway.content.keys import Keys

WANTED_SECONDS: Final = 0.2
"""How often is looked whether a route keeps content, while none did."""
LOOK_SECONDS: Final = 10.0
"""How often is looked which keys were destroyed."""
RETRY_SECONDS: Final = 1.0

logger = logging.getLogger(__name__)


class Content:
    """Of one gateway. `keys` is None until it is known which there are."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._problem = ""
        self.keys: Keys | None = None
        agent.troubles.append(lambda: self._problem)

    async def run(self) -> None:
        """Look after keys until cancelled."""
        while not self._wanted():  # noqa: ASYNC110 - nobody tells of it
            await asyncio.sleep(WANTED_SECONDS)
        keys = Keys(SubjectKeys(self._agent.client, self._agent.settings.namespace))
        while True:
            try:
                await keys.look()
            except (Away, ValueError) as error:
                self._say(f"the keys that requests are kept under cannot be read: {error}")
                await asyncio.sleep(RETRY_SECONDS)
                continue
            self._say("")
            self.keys, self._agent.erased = keys, keys.erased
            metrics.SUBJECTS.set(keys.subjects)
            metrics.ERASED.set(len(keys.erased))
            await asyncio.sleep(LOOK_SECONDS)

    def _wanted(self) -> bool:
        kept = any(self._agent.settings.audit_dir.glob(f"*{SUFFIX}"))
        return kept or any(route.content for route in self._agent.writer.state.routes.values())

    def _say(self, problem: str) -> None:
        if problem and problem != self._problem:
            logger.error("%s", problem)
        elif self._problem and not problem:
            logger.warning("the keys that requests are kept under can be read again")
        self._problem = problem
        metrics.PROBLEM.set(bool(problem))
