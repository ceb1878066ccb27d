"""The activator: where requests wait whose model has no usable pod, and what wakes it.

    activator = Activator(ports, socket, port, master)
    await activator.run()            # serves until cancelled
    activator.held()                 # {target: Held(held, wakes, cold_starts)} for GET /signals

`ports` is the agent (see ports.Ports), `socket` the path for the own Envoy (agent.sock), `port` the TCP port for the
other gateways' Envoys (10090; 0 takes a free one, see `bound`), `master` gives the key they have to know (see trust).
Optional: `host` to listen on, `limits` over all
models, `probe` and `clock` for tests, `peer_port` where it is not `port`.

For each model that holds requests runs one burst: it wakes the model, probes its pods every 20 ms, hands the first
that answers to Envoy, and lets the requests go in turns. It ends with the last of them, and nothing of it stays.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from smallmodel_operator.core.traffic import ColdStart
from smallmodel_operator.gateway.activate import metrics
from smallmodel_operator.gateway.activate.burst import Burst
from smallmodel_operator.gateway.activate.coldstart import ColdStarts
from smallmodel_operator.gateway.activate.peers import Peers
from smallmodel_operator.gateway.activate.ports import Ports
from smallmodel_operator.gateway.activate.probe import HttpProbe, Probe
from smallmodel_operator.gateway.activate.queue import Limits, Outcome, Queue, Ticket
from smallmodel_operator.gateway.activate.refusal import Refusal, refusal
from smallmodel_operator.gateway.activate.returns import Returns, Sending
from smallmodel_operator.gateway.activate.server import Listeners, serve
from smallmodel_operator.gateway.activate.trust import Trust
from smallmodel_operator.gateway.signals import Held
from smallmodel_operator.gateway.state import DEFAULT_MAX_QUEUED, DEFAULT_MAX_WAIT_SECONDS

FOREIGN_SECONDS: Final = 1.0
"""How long a request of another gateway's Envoy stays though its model is ready. It comes only while the agent there
is away, and until that is back its Envoy cannot learn of the pod: letting go at once would use up its retries."""
AFTER_ERROR_SECONDS: Final = 0.2

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Waiting:
    """An admitted request; `ended` gets its outcome. `podless`: when it came there was no pod it could go to."""

    ticket: Ticket
    ended: "asyncio.Future[Outcome]"
    sending: Sending | None
    podless: bool


class Activator:
    """See the module."""

    def __init__(
        self,
        ports: Ports,
        socket: Path,
        port: int,
        master: Callable[[], bytes],
        *,
        host: str | None = None,
        limits: Limits | None = None,
        probe: Probe | None = None,
        clock: Callable[[], float] = time.monotonic,
        peer_port: int | None = None,
    ) -> None:
        self._ports = ports
        self._listeners = Listeners(socket, host, port)
        self._probe = probe
        self.clock = clock
        self._peer_port = peer_port
        self.trust = Trust(ports, master)
        self._peers = Peers(ports.peers, self.trust.introduction, clock)
        self.queue = Queue(limits)
        self._waiting: dict[int, Waiting] = {}
        self._returns = Returns()
        self._bursts: dict[str, Burst] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._cold_starts = ColdStarts()
        self._wakes: dict[str, int] = {}
        self._seen: set[str] = set()
        """Models that there is anything of, be it series of metrics only."""
        self.bound = 0
        """The TCP port, once it listens."""
        self.listening = asyncio.Event()

    async def run(self) -> None:
        """Serve until cancelled. Held requests are cut then, so that their Envoys turn to another gateway."""
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._end)
            if self._probe is None:
                self._probe = await stack.enter_async_context(HttpProbe())
            self.bound = await stack.enter_async_context(serve(self, self._listeners))
            self.listening.set()
            await self._peers.run(self._peer_port or self.bound)

    async def _end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # -- what the agent asks -----------------------------------------------------------------------------------

    def held(self) -> dict[str, Held]:
        """What is held now, and what is remembered, for every model with either."""
        for target in self._seen - set(self._bursts):
            if self._ports.synced() and self._ports.model(target) is None:
                self._forget(target)
        counts = self.queue.counts()
        return {
            target: Held(
                counts.get(target, 0),
                self._wakes.get(target, 0),
                self._cold_starts.last(target),
            )
            for target in {*counts, *self._wakes, *self._cold_starts.targets()}
        }

    def _forget(self, target: str) -> None:
        self._seen.discard(target)
        self._wakes.pop(target, None)
        self._cold_starts.forget(target)
        metrics.forget(target)

    # -- what the server asks ----------------------------------------------------------------------------------

    def enter(
        self, target: str, namespace: str, size: int, foreign: bool, sending: Sending | None = None
    ) -> Waiting | Outcome:
        """Take a request of a caller in `namespace` with a body of `size` bytes in, or say why not.

        Args:
            foreign: it comes from another gateway's Envoy.
            sending: which request it is.
        """
        model = self._ports.model(target)
        cause = self._unservable(target)
        now = self.clock()
        usable = bool(self._ports.usable(target))
        if cause is None and sending and not usable and self._returns.too_many(target, sending, now):
            cause = Outcome.ENDING
        if cause is None:
            admission = self.queue.admit(
                target,
                namespace,
                size,
                now,
                wait=model.max_wait if model else DEFAULT_MAX_WAIT_SECONDS,
                bound=model.max_queued if model else DEFAULT_MAX_QUEUED,
                # Where a foreign one waited before, it may still be counted: it must not be refused for itself.
                elsewhere=0 if foreign else self._peers.elsewhere(target),
                earliest=now + FOREIGN_SECONDS if foreign and usable else now,
            )
            for ticket, why in admission.displaced:
                self._finish([ticket], why)
            cause = admission.cause
        if cause is not None:
            if cause is not Outcome.GONE:  # names that do not exist must not fill the metrics
                self._seen.add(target)
                metrics.REFUSED.labels(*metrics.of(target), cause.value).inc()
            return cause
        assert admission.ticket is not None
        self._seen.add(target)
        ended = asyncio.get_running_loop().create_future()
        waiting = Waiting(admission.ticket, ended, sending, not usable)
        self._waiting[admission.ticket.id] = waiting
        self._changed(target)
        self._burst(target)
        return waiting

    def grew(self, waiting: Waiting, size: int) -> None:
        """More of a request's body has come than was announced."""
        cause = self.queue.grew(waiting.ticket.id, size)
        if cause is not None:
            self._finish([waiting.ticket], cause)
        metrics.HELD_BYTES.set(self.queue.bytes)

    def leave(self, waiting: Waiting) -> None:
        """Its connection is gone. Fine for one that has ended."""
        if self.queue.leave(waiting.ticket.id):
            self._finish([waiting.ticket], Outcome.LEFT)

    def refusal(self, target: str, outcome: Outcome, since: float | None = None) -> Refusal:
        """What a refused request is told."""
        burst, now = self._bursts.get(target), self.clock()
        waited = 0.0 if since is None else now - since
        passed = now - burst.start.began if burst else waited
        model = self._ports.model(target)
        why, told, full = (model.stalled, model.cold_start, model.full) if model else ("", 0.0, False)
        again = self._cold_starts.retry_after(target, passed, told)
        return refusal(outcome, target, again, waited, why, full=full)

    # -- bursts ------------------------------------------------------------------------------------------------

    def _unservable(self, target: str) -> Outcome | None:
        model = self._ports.model(target)
        if model is None:
            return Outcome.GONE if self._ports.synced() else None
        if model.stopped:
            return Outcome.STOPPED
        if model.off:
            return Outcome.OFF
        if model.spent:
            return Outcome.BUDGET
        return Outcome.STALLED if model.stalled else None

    def _burst(self, target: str) -> None:
        if target not in self._bursts:
            assert self._probe is not None
            burst = Burst(self._ports, target, self._probe, self.clock, lambda: self._woke(target))
            self._bursts[target] = burst
            task = asyncio.create_task(self._tend(burst), name=f"burst {target}")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _woke(self, target: str) -> None:
        self._wakes[target] = self._wakes.get(target, 0) + 1

    async def _tend(self, burst: Burst) -> None:
        """Look after one model until nothing is held for it."""
        target = burst.target
        try:
            while self.queue.count(target):
                try:
                    await self._step(burst)
                except Exception:  # whatever it was, those who wait still wait
                    logger.exception("holding requests of %s goes on after an error", target)
                    await asyncio.sleep(AFTER_ERROR_SECONDS)
        finally:
            del self._bursts[target]  # before any await: who comes now starts a burst of their own
            await burst.end()

    async def _step(self, burst: Burst) -> None:
        target = burst.target
        cause = self._unservable(target)
        if cause is not None:
            self._finish(self.queue.clear(target), cause)
            return
        self._finish(self.queue.expired(target, self.clock()), Outcome.EXPIRED)
        if await burst.ready():
            if start := burst.measured():
                self._started(target, start)
            for ticket in self.queue.take(target, burst.batch, self.clock()):
                self._finish([ticket], Outcome.ENDING if self._worn(ticket, burst) else Outcome.RELEASED)
        if self.queue.count(target):
            await burst.pause()

    def _worn(self, ticket: Ticket, burst: Burst) -> bool:
        """Was it let go often enough? While there was a pod all the time its Envoy was only late to hear of it."""
        waiting = self._waiting[ticket.id]
        if waiting.sending is None or not (waiting.podless or burst.podless >= ticket.since):
            return False
        if self._returns.too_many(ticket.target, waiting.sending, self.clock()):
            return True
        self._returns.let_go(ticket.target, waiting.sending, self.clock())
        return False

    def _started(self, target: str, start: ColdStart) -> None:
        self._cold_starts.add(target, start)
        for stage in ("schedule", "container", "load", "total"):
            metrics.COLD_START_SECONDS.labels(stage).observe(getattr(start, stage))
        logger.info(
            "%s was ready after %.3f s: %.3f until its pod had an address, %.3f until it took connections, "
            "%.3f until the engine had loaded", target, start.total, start.schedule, start.container, start.load,
        )  # fmt: skip

    # -- ends --------------------------------------------------------------------------------------------------

    def _finish(self, tickets: Iterable[Ticket], outcome: Outcome) -> None:
        now = self.clock()
        for ticket in tickets:
            waiting = self._waiting.pop(ticket.id)
            with suppress(asyncio.InvalidStateError):  # cancelled with its connection
                waiting.ended.set_result(outcome)
            labels = metrics.of(ticket.target)
            metrics.ENDED.labels(*labels, outcome.value).inc()
            if outcome is Outcome.RELEASED:
                metrics.HOLD_SECONDS.labels(*labels).observe(now - ticket.since)
            elif outcome is not Outcome.LEFT:
                metrics.REFUSED.labels(*labels, outcome.value).inc()
            self._changed(ticket.target)

    def _changed(self, target: str) -> None:
        metrics.HELD.labels(*metrics.of(target)).set(self.queue.count(target))
        metrics.HELD_BYTES.set(self.queue.bytes)
        if self.queue:
            self._peers.busy.set()
        else:
            self._peers.busy.clear()
