"""The proof that nothing leads outside through this gateway, made when the ClusterBoundary asks for one.

Not of what the agent meant to write, but of what is there: Envoy says which versions it serves, the files of these
versions are read again and walked by the static check, and Envoy names every address it leads to.
"""

import asyncio
import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from smallmodel_operator.gateway.admin import Unreachable, refused
from smallmodel_operator.gateway.agent import Agent
from smallmodel_operator.gateway.boundary.force import InForce
from smallmodel_operator.gateway.files import RDS, dump

LOOK_SECONDS: Final = 0.05
CONFIRM_SECONDS: Final = 0.5
"""Until something that leads outside is looked at again: endpoints may have changed between two looks."""
TRIES: Final = 3
AGAIN_SECONDS: Final = 5.0
"""Until a gateway through which something leads outside looks again."""
LISTED, CHARACTERS = 8, 512

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Proof:
    """One. `asked`: the word it answers; `outside`: paths that lead outside, or why nobody can say."""

    asked: str
    generation: int
    at: str
    configuration: str
    outside: tuple[str, ...] = ()

    def entry(self) -> dict[str, Any]:
        """As it stands in the status."""
        return {
            "asked": self.asked,
            "observedGeneration": self.generation,
            "time": self.at,
            "configuration": self.configuration,
            "leadsOutside": [path[:CHARACTERS] for path in self.outside[:LISTED]],
        }


class Prover:
    """One gateway's. `now`: the last proof; None: nobody has asked."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self.now: Proof | None = None

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            now, asked = self.now, self._agent.world.boundaries.asked
            if asked and (now is None or now.asked != asked):
                await self._answer(asked)
            elif now is not None and now.outside and asked:
                await asyncio.sleep(AGAIN_SECONDS)
                await self._answer(asked)
            await asyncio.sleep(LOOK_SECONDS)

    async def _answer(self, asked: str) -> None:
        """Nothing is said while Envoy has not taken over what is declared."""
        found: Proof | None = None
        for _ in range(TRIES):
            try:
                found = await self._look(asked)
            except Unreachable as error:
                logger.debug("%s", error)
                return
            if found is None or not found.outside:
                break
            await asyncio.sleep(CONFIRM_SECONDS)
        if found is not None:
            for path in found.outside:
                logger.error("the seal is not in force: %s", path)
            self.now = found

    async def _look(self, asked: str) -> Proof | None:
        agent, force = self._agent, self._agent.in_force
        if force is None or force.boundary != agent.world.boundaries.now:
            why = agent.writer.problem
            return made(asked, force, {}, (why,)) if why else None
        versions, served = dict(agent.writer.versions), await agent.admin.versions()
        if refused(versions, served) or not served.get(RDS):
            return None
        outside = await agent.writer.outside(await agent.admin.upstreams())
        return made(asked, force, served, tuple(outside)) if versions == agent.writer.versions else None


def made(asked: str, force: InForce | None, served: Mapping[str, frozenset[str]], outside: tuple[str, ...]) -> Proof:
    """A proof of now."""
    named = hashlib.sha256(dump({name: sorted(versions) for name, versions in served.items()})).hexdigest()
    at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return Proof(asked, force.boundary.generation if force else 0, at, named if served else "", outside)
