"""One model that requests wait for: woken, probed, handed to Envoy."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from smallmodel_operator.core.traffic import ColdStart
from smallmodel_operator.gateway.activate.coldstart import Answer, Start
from smallmodel_operator.gateway.activate.ports import Ports
from smallmodel_operator.gateway.activate.probe import Probe
from smallmodel_operator.gateway.activate.wake import keep_waking
from smallmodel_operator.gateway.state import Endpoint

PROBE_SECONDS: Final = 0.02
BATCH: Final = 16
"""Requests let go together, every PROBE_SECONDS: Envoy spreads its retries over as long, so turns stay turns."""


class Burst:
    """Wakes and probes from the start until `end`.

    Args:
        woke: told when the model was woken by this gateway.
    """

    def __init__(
        self, ports: Ports, target: str, probe: Probe, clock: Callable[[], float], woke: Callable[[], None]
    ) -> None:
        self.target = target
        self.batch = BATCH
        self.start = Start(clock())
        self._ports = ports
        self._probe = probe
        self._clock = clock
        self._cold = not ports.usable(target) and not ports.not_ready(target)
        """Seen from its beginning, so that it can be measured."""
        self.podless = float("-inf")
        """When it last found no pod to send requests to."""
        self._proved: dict[str, Endpoint] = {}
        self._told: tuple[Endpoint, ...] = ()
        self._moved = asyncio.Event()
        self._probes: dict[str, asyncio.Task[None]] = {}
        self._waker = asyncio.create_task(keep_waking(ports, target, woke), name=f"wake {target}")

    async def end(self) -> None:
        """Stop everything."""
        tasks = [self._waker, *self._probes.values()]
        self._probes.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def ready(self) -> bool:
        """Is there a pod, and has Envoy heard of it?"""
        if usable := self._ports.usable(self.target):
            if usable != self._told:  # once for each set: an Envoy that does not answer must not slow every batch
                await self._ports.settled(self.target)
                self._told = usable
        elif self._proved:
            proved = list(self._proved.values())
            self._proved.clear()  # one that is not usable for all that is asked again
            await self._ports.publish(self.target, proved)
        else:
            self._look()
        found = bool(self._ports.usable(self.target))
        if not found:
            self.podless = self._clock()
        return found

    def measured(self) -> ColdStart | None:
        """The cold start, once, when it was seen whole."""
        if not self._cold:
            return None
        self._cold = False
        return self.start.done(self._clock())

    async def pause(self) -> None:
        """Until the next look; shorter when a pod answered."""
        self._moved.clear()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._moved.wait(), PROBE_SECONDS)

    def _look(self) -> None:
        """One probe for each pod that is not ready."""
        candidates = {e.address: e for e in self._ports.not_ready(self.target)}
        for address, task in list(self._probes.items()):
            if address not in candidates or (task.done() and address not in self._proved):
                task.cancel()
                del self._probes[address]
        for address, endpoint in candidates.items():
            self.start.saw_address(self._clock())
            if address not in self._probes:
                self._probes[address] = asyncio.create_task(self._ask(endpoint), name=f"probe {address}")

    async def _ask(self, endpoint: Endpoint) -> None:
        while True:
            answer = await self._probe(endpoint)
            self.start.saw(answer, self._clock())
            if answer is Answer.READY:
                self._proved[endpoint.address] = endpoint
                self._moved.set()
                return
            await asyncio.sleep(PROBE_SECONDS)
