"""The boundary as a part of the agent's process: puts each one into force and says so in ClusterBoundary's status."""

import asyncio
import logging
import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

import aiohttp

from smallmodel_operator.api.names import API_VERSION, BOUNDARY
from smallmodel_operator.boundary.seal import Boundary
from smallmodel_operator.cluster.client import ApiError
from smallmodel_operator.gateway import metrics
from smallmodel_operator.gateway.admin import Unreachable
from smallmodel_operator.gateway.agent import Agent
from smallmodel_operator.gateway.boundary import cut
from smallmodel_operator.gateway.boundary.force import InForce
from smallmodel_operator.gateway.boundary.proof import Proof, Prover
from smallmodel_operator.gateway.files import RDS

LOOK_SECONDS: Final = 0.05
HELD_SECONDS: Final = 0.5
"""How long held requests may take to be let go with an answer of their own before everything is cut."""
WATCH_SECONDS: Final = 1.0
"""How often is looked, while something is stopped, whether a request to it runs all the same: one whose body was still
on its way when the routes changed goes by the old ones."""
RETRY_SECONDS: Final = 1.0
GONE: Final = 404

logger = logging.getLogger(__name__)


async def enforce(agent: Agent) -> None:
    """Put the boundary into force, until cancelled. For `Agent.run(stop, parts=[enforce])`."""
    await Enforcer(agent).run()


class Enforcer:
    """One gateway's boundary."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._watched = float("-inf")
        self._said: tuple[InForce, Proof | None] | None = None
        """What the status says of this gateway."""
        self._prover = Prover(agent)
        self._say_at = 0.0
        self._problem = ""
        agent.troubles.append(lambda: self._now.public)  # whoever reaches the port reads it
        agent.troubles.append(lambda: self._problem)

    @property
    def _now(self) -> Boundary:
        force = self._agent.in_force
        return force.boundary if force else Boundary()

    async def run(self) -> None:
        """Until cancelled."""
        cut.write(self._agent.settings.cut_file, cut.RUN)  # an agent that was killed may have left it
        async with asyncio.TaskGroup() as group:
            group.create_task(self._enforce())
            group.create_task(self._report())
            group.create_task(self._prover.run())

    async def _enforce(self) -> None:
        while True:
            try:
                await self._step()
                self._problem = ""
            except Unreachable as error:
                logger.debug("%s", error)  # an Envoy that starts again reads the routes, and nothing runs in it
            except OSError as error:
                if not self._problem:
                    logger.error("running requests cannot be cut: %s", error)
                self._problem = f"running requests cannot be cut: {error}"
                await asyncio.sleep(RETRY_SECONDS)
            await asyncio.sleep(LOOK_SECONDS)

    async def _step(self) -> None:
        agent, wanted = self._agent, self._agent.writer.boundary
        if wanted is None:
            return
        if agent.in_force is None or agent.in_force.boundary != wanted:
            if await self._served():
                await self._put(wanted)
        elif wanted.stops_anything and time.monotonic() - self._watched > WATCH_SECONDS:
            running, others = await self._running(wanted)
            self._watched = time.monotonic()
            if running:
                await self._cut(wanted)
                self._count(running, others)
                agent.forces.append(replace(agent.in_force, cut=running, others=others))

    async def _served(self) -> bool:
        """Does Envoy route by the newest file?"""
        served = (await self._agent.admin.versions()).get(RDS)
        return served == frozenset({self._agent.writer.versions[RDS]})

    async def _put(self, wanted: Boundary) -> None:
        running = others = 0
        if wanted.stops_more_than(self._now):
            await self._let_go(wanted)
            running, others = await self._running(wanted)
            # Everything stopped: also what runs by the old routes and is counted for no model yet.
            if running or wanted.stopped:
                await self._cut(wanted)
                self._count(running, others)
            else:
                others = 0
        at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        self._agent.in_force = InForce(wanted, at, running, others)
        self._agent.forces.append(self._agent.in_force)
        self._watched = time.monotonic()
        metrics.stopped(wanted.stopped, wanted.namespaces)
        if wanted.uid or self._said:
            logger.warning("in force: %s", wanted.sentence or f"inference is allowed (generation {wanted.generation})")

    def _count(self, running: int, others: int) -> None:
        if running or others:
            metrics.CUT.inc(running + others)
            logger.warning(
                "%d running requests have been cut, %d of them to models not stopped", running + others, others
            )

    async def _let_go(self, wanted: Boundary) -> None:
        """Held requests are refused by the activator, which knows the boundary already."""
        end = time.monotonic() + HELD_SECONDS
        while any(held.held and _stops(wanted, target) for target, held in self._agent.held().items()):
            if time.monotonic() > end:
                return
            await asyncio.sleep(LOOK_SECONDS)

    async def _running(self, wanted: Boundary) -> tuple[int, int]:
        """Requests that run: to what is stopped, to others."""
        traffic = await self._agent.admin.traffic()
        stopped = sum(p.active for target, p in traffic.items() if _stops(wanted, target))
        return stopped, sum(p.active for p in traffic.values()) - stopped

    async def _cut(self, wanted: Boundary) -> None:
        async def left() -> bool:
            return (await self._running(wanted))[0] > 0

        await cut.cut(self._agent.admin, self._agent.settings.cut_file, left)

    # -- the status --------------------------------------------------------------------------------------------

    async def _report(self) -> None:
        while True:
            force, proof = self._agent.in_force, self._prover.now
            if force is not None and (force, proof) != self._said and await self._say(force, proof):
                self._said = force, proof
            await asyncio.sleep(LOOK_SECONDS)

    async def _say(self, force: InForce, proof: Proof | None) -> bool:
        if not force.boundary.uid:
            return True  # there is no object to say it in
        name = self._agent.settings.identity
        body = {
            "apiVersion": API_VERSION,
            "kind": "ClusterBoundary",
            "metadata": {"name": BOUNDARY},
            "status": {"gateways": [force.entry(name) | ({"proof": proof.entry()} if proof else {})]},
        }
        try:
            await self._agent.client.apply(body, force=True, subresource="status", manager=name)
        except (ApiError, aiohttp.ClientError, TimeoutError, OSError) as error:
            if isinstance(error, ApiError) and error.status == GONE:
                return True
            logger.warning("the boundary is in force, but its status does not say so: %s", error)
            await asyncio.sleep(RETRY_SECONDS)
            return False
        return True


def _stops(boundary: Boundary, target: str) -> bool:
    return boundary.stops(target.partition("/")[0])
