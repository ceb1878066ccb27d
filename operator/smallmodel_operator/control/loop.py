"""The work loop of one model or route: wake on a poke, gather pokes, reconcile, back off on outages. Knows no kopf."""

import asyncio
import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from smallmodel_operator.cluster.fence import NotLeader
from smallmodel_operator.control.verdict import Verdict
from smallmodel_operator.core.facts import Object

GATHER_SECONDS: Final = 0.1
"""Pokes come in bursts (a Deployment's status moves with each pod); one pass answers them all."""
BUSY_GATHER_SECONDS: Final = 1.0
"""The same while models wait for their turn: a pass less for each of a thousand models is room for the others."""
FIRST_BACKOFF: Final = 1.0
LAST_BACKOFF: Final = 30.0
"""An API server that returns after a minute is noticed within this long even without a watch event."""
AT_ONCE: Final = 64
"""Models reconciled at the same time; more only queue inside the API server, and each holds its objects meanwhile."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Told:
    """Which outage of a model was logged, and which stands in its status."""

    logged: str = ""
    reported: str = ""


class Pokes:
    """One event per model: who wants its loop to run again."""

    def __init__(self) -> None:
        self._events: dict[tuple[str, str], asyncio.Event] = {}

    def begin(self, model: tuple[str, str]) -> asyncio.Event:
        """The event of a loop that starts; it takes over from one that has not ended yet."""
        self._events[model] = asyncio.Event()
        return self._events[model]

    def poke(self, model: tuple[str, str]) -> None:
        if event := self._events.get(model):
            event.set()

    def end(self, model: tuple[str, str], event: asyncio.Event) -> bool:
        """A loop ended; False when another one for a model of the same name runs already."""
        if self._events.get(model) is not event:
            return False
        del self._events[model]
        return True


class Work(Protocol):
    """What is done with one object, again and again: of a model, or of a route."""

    busy: Callable[[], bool]
    """Are others waiting for their turn? The loop sets it."""

    async def reconcile(self, body: Object) -> Verdict:
        """One pass."""

    async def report_outage(self, body: Object, message: str) -> None:
        """Show a failure in the object's status."""

    def forget(self, body: Object, *, succeeded: bool = False) -> None:
        """The object is gone. `succeeded`: another of its name is there."""


class Loop:
    """Runs models, or routes. `observe` is told of every pass: (result name, seconds)."""

    def __init__(
        self,
        reconciler: Work,
        observe: Callable[[str, float], None],
        rand: Callable[[], float] = random.random,
    ) -> None:
        self._reconciler = reconciler
        self._observe = observe
        self._rand = rand
        self._room = asyncio.Semaphore(AT_ONCE)
        reconciler.busy = self._room.locked
        self.pokes = Pokes()

    async def run(self, body: Callable[[], Object]) -> None:
        """Reconcile until cancelled. `body()` is the model as last seen."""
        first = body()
        model = (first["metadata"]["namespace"], first["metadata"]["name"])
        poke = self.pokes.begin(model)
        failures, outage = 0, _Told()
        try:
            while True:
                poke.clear()
                started = time.monotonic()
                try:
                    async with self._room:
                        result = await self._reconciler.reconcile(body())
                    failures, outage = 0, _Told()
                    wait = result.look_again_seconds
                    self._observe(_name(result), time.monotonic() - started)
                except NotLeader:
                    # Either the process ends now, or a late renewal arrives: then this loop must still be there.
                    self._observe("not_leader", time.monotonic() - started)
                    failures, wait = max(failures, 1), FIRST_BACKOFF
                except Exception as error:
                    failures += 1
                    wait = self._backoff(failures)
                    self._observe("error", time.monotonic() - started)
                    outage = await self._complain(body(), error, wait, outage)
                await self._sleep(poke, wait, debounce=not failures)
        finally:
            self._reconciler.forget(first, succeeded=not self.pokes.end(model, poke))

    async def _sleep(self, poke: asyncio.Event, wait: float, *, debounce: bool) -> None:
        try:
            async with asyncio.timeout(wait):
                await poke.wait()
        except TimeoutError:
            return
        gather = BUSY_GATHER_SECONDS if self._room.locked() else GATHER_SECONDS
        await asyncio.sleep(gather if debounce else FIRST_BACKOFF)

    async def _complain(self, body: Object, error: Exception, wait: float, told: _Told) -> _Told:
        """Log an outage once per message, and show it in the status as soon as the API server lets us."""
        message = f"{type(error).__name__}: {error}"[:500]
        name = f"{body['metadata']['namespace']}/{body['metadata']['name']}"
        if message != told.logged:
            logger.warning("%s: %s; trying again in %.0f s", name, message, wait, exc_info=_is_bug(error))
        if message == told.reported:
            return told
        try:
            await self._reconciler.report_outage(body, f"{message}. The operator tries again by itself.")
        except Exception as second:
            logger.debug("%s: the outage could not be reported: %s", name, second)
            return _Told(logged=message)
        return _Told(logged=message, reported=message)

    def _backoff(self, failures: int) -> float:
        return min(LAST_BACKOFF, FIRST_BACKOFF * 2.0 ** (failures - 1)) * (0.75 + 0.5 * self._rand())


def _is_bug(error: Exception) -> bool:
    return isinstance(error, TypeError | KeyError | AttributeError | ValueError | IndexError | AssertionError)


def _name(result: Verdict) -> str:
    return "refused" if result.refused else "ok"
