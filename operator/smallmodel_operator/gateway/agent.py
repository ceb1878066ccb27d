"""The gateway's agent: one process beside each Envoy that tells it where models are and wakes them."""

import asyncio
import logging
import signal
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Any, Final

from smallmodel_operator import __version__
from smallmodel_operator.audit.content.keyring import Tombstone
from smallmodel_operator.cluster.client import Client
from smallmodel_operator.gateway import http, metrics, scale, signals
from smallmodel_operator.gateway.accesslog.recent import Recent
from smallmodel_operator.gateway.admin import Admin, Passing, Unreachable, kept_before, refused
from smallmodel_operator.gateway.boundary.force import InForce
from smallmodel_operator.gateway.config import Renderer, Writer
from smallmodel_operator.gateway.decide.outages import Outages
from smallmodel_operator.gateway.discovery import Discovery
from smallmodel_operator.gateway.files import Files
from smallmodel_operator.gateway.known import KNOWN, recall, recall_boundary
from smallmodel_operator.gateway.settings import GatewaySettings
from smallmodel_operator.gateway.state import Endpoint, Model
from smallmodel_operator.gateway.world import World

TICK_SECONDS: Final = 1.0
DRAIN_SECONDS: Final = 0.1
"""How often a stopping agent looks whether its Envoy is still there."""
LOOK_SECONDS: Final = 10.0
"""How often traffic is looked at when nobody asks. Envoy takes 0.1 s to search the statistics of 1,000 models."""
CHECK_SECONDS: Final = 15.0
"""How often Envoy is asked what it refused; each second for CLOSELY_SECONDS after a file was replaced."""
CLOSELY_SECONDS: Final = 4.0
TAKE_SECONDS: Final = 2.0
"""How long Envoy may take to load a file before it counts as refused."""
FRESH_SECONDS: Final = 0.2
"""A look this young answers who asks."""
ACCEPT_SECONDS: Final = 0.05
"""How long Envoy may take to take over endpoints before a held request is let go all the same."""

logger = logging.getLogger(__name__)

Part = Callable[["Agent"], Coroutine[Any, Any, None]]
"""Another part of the process (activator, access log): runs until cancelled."""


class Agent:
    """One agent. `held` is set by the activator, `counts` by who reads the access log."""

    def __init__(self, settings: GatewaySettings, client: Client, renderer: Renderer) -> None:
        self.settings, self.client = settings, client
        self.held: Callable[[], Mapping[str, signals.Held]] = dict
        self.counts: Callable[[], Mapping[str, Mapping[str, Any]]] = dict
        """What came of the requests of models with an objective, as `GET /signals` says it."""
        self.usage: Callable[[], dict[str, Any] | None] = lambda: None
        """Requests and tokens of each model; set by who reads the access log."""
        self.troubles: list[Callable[[], str]] = []
        """What other parts of the process have to say at /readyz; empty texts are left out."""
        self.route_policies: dict[str, dict[str, Any]] = {}
        """What is said of the policies of routes that were in force since the agent began, by their hash."""
        self.decided: Callable[..., Awaitable[None]] | None = None
        """Records a decision before it takes effect; None: not yet."""
        self.outages, self.recent = Outages(), Recent()
        self.erased: Mapping[str, Tombstone] = {}
        """Keys of subjects that are known to be destroyed, by their names."""
        self.refusing: Callable[[], bool] = lambda: False
        """Does Envoy refuse every request because its answer could not be recorded?"""
        self.in_force: InForce | None = None
        """The boundary this gateway keeps; None: it is not known yet, or nobody puts it into force."""
        self.forces: deque[InForce] = deque()
        """Each that came into force, and each cut after that, until it is recorded: the next may follow at once."""
        self.discovery, self.admin = Discovery(settings.xds_socket), Admin(settings.admin_socket)
        self.http_port = 0
        """Where the HTTP port is, once it listens."""
        files = Files(settings.gateway_dir)
        self.writer = Writer(files, self.discovery, renderer, lambda: self.world)
        self.world = World(
            client,
            settings,
            recall(files.read(KNOWN)),
            self.writer.targets,
            self.writer.changed,
            self.writer.moved,
            boundary=recall_boundary(files.read(KNOWN)),
        )
        self._tasks: list[asyncio.Task[None]] = []
        self._activities: dict[str, signals.Activity] = {}
        self._looked = float("-inf")
        self._looking = asyncio.Lock()
        self._checked = float("-inf")
        self._refused: frozenset[str] = frozenset()
        self._said: frozenset[str] = frozenset()
        self._questions = http.Questions()
        self.operator_asks = self._questions.lately
        self._stopping, self._waiting = False, ""

    # -- for the activator -------------------------------------------------------------------------------------

    def synced(self) -> bool:
        """Have all models been seen? Before that one that is not known may exist all the same."""
        return self.world.complete

    def model(self, target: str) -> Model | None:
        """The model of a target; None: there is none."""
        return self.world.model(target)

    def not_ready(self, target: str) -> tuple[Endpoint, ...]:
        """Addresses worth a probe: pods that exist and are not called ready yet."""
        return self.world.not_ready(target)

    def usable(self, target: str) -> tuple[Endpoint, ...]:
        """Addresses requests may go to now."""
        return self.world.state(only=target).endpoints.get(target, ())

    def peers(self) -> tuple[str, ...]:
        """Addresses of the other gateways that are ready."""
        return self.world.peers()

    async def wake(self, target: str) -> bool:
        """Scale a model's Deployment 0 -> 1; False when it was not at 0.

        Raises:
            scale.NotWoken: the API server did not take it; ask again.
        """
        namespace, _, name = target.partition("/")
        return await scale.wake(self.client, namespace, name)

    async def publish(self, target: str, endpoints: Sequence[Endpoint]) -> bool:
        """These answered a probe: send requests there. True when Envoy has said that it does."""
        self.world.prove(target, [e.address for e in endpoints])
        return await self.discovery.settled(target, ACCEPT_SECONDS)

    async def settled(self, target: str) -> bool:
        """True when Envoy has taken over the endpoints known now."""
        return await self.discovery.settled(target, ACCEPT_SECONDS)

    # -- the process -------------------------------------------------------------------------------------------

    async def run(self, stop: asyncio.Event, parts: Sequence[Part] = ()) -> int:
        """Work until `stop`; the exit code. A part that ends ends the process: a fresh one is safe."""
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self.admin)
            self.writer.resume()
            await self.discovery.start()
            stack.push_async_callback(self.discovery.stop)
            port = self.settings.gateway_http_port
            runner = await http.serve(
                port, self.healthy, self.readiness, self.signals, self._questions, self.scrape, lambda: self.usage()
            )
            stack.push_async_callback(runner.cleanup)
            # With "any free port" the two families have each their own; the shorter address is IPv4's.
            self.http_port = min(runner.addresses, key=len)[1]
            await stack.enter_async_context(self._running(parts))
            metrics.BUILD.info({"version": __version__, "gateway": self.settings.identity})
            stopping = asyncio.create_task(stop.wait())
            await asyncio.wait({stopping, *self._tasks}, return_when=asyncio.FIRST_COMPLETED)
            stopping.cancel()
            if self.healthy():
                await self._outlive()
            return self._verdict()

    @asynccontextmanager
    async def _running(self, parts: Sequence[Part]) -> AsyncIterator[None]:
        works: list[Coroutine[Any, Any, None]] = [
            *(informer.run() for informer in self.world.informers),
            self.world.tokens.run(),
            self.writer.run(),
            self._every(TICK_SECONDS, self._tick),
            self._every(LOOK_SECONDS, self._look),
            *(part(self) for part in parts),
        ]
        self._tasks = [asyncio.create_task(work) for work in works]
        try:
            yield
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _outlive(self) -> None:
        """Not ready any more, but there until Envoy ends: what it holds or wakes needs us to the last."""
        self._stopping = True
        end = time.monotonic() + self.settings.gateway_drain_seconds
        while self.healthy() and time.monotonic() < end and await self.admin.ready(draining=True):  # noqa: ASYNC110
            await asyncio.sleep(DRAIN_SECONDS)

    def _verdict(self) -> int:
        ended = [t for t in self._tasks if t.done()]
        for task in ended:
            error = None if task.cancelled() else task.exception()
            logger.error("a part of the agent ended: %r", error, exc_info=error)
        return 1 if ended else 0

    def healthy(self) -> bool:
        """Do all parts run?"""
        return bool(self._tasks) and not any(t.done() for t in self._tasks)

    async def _every(self, seconds: float, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await work()
            except Unreachable as error:
                logger.debug("%s", error)
            await asyncio.sleep(seconds)

    async def _tick(self) -> None:
        self.world.expire()
        if (waiting := self.world.waiting_for_keys) != self._waiting:
            self._waiting = waiting
            logger.warning("%s", waiting or "the keys are there: this gateway takes requests")
        since = time.monotonic() - self._checked
        if since < CHECK_SECONDS and self._checked > self.writer.replaced + CLOSELY_SECONDS:
            return
        served = await self.admin.versions()
        self._checked = time.monotonic()
        if self._checked < self.writer.replaced + TAKE_SECONDS:
            return
        self._refused = refused(self.writer.versions, served)
        for name in self._refused - self._said:
            logger.error("%s", kept_before(name))
        self._said = self._refused
        for name in served:
            metrics.REFUSED.labels(metrics.file_of(name)).set(name in self._refused)

    # -- what it says ------------------------------------------------------------------------------------------

    async def _look(self) -> None:
        async with self._looking:
            if time.monotonic() - self._looked <= FRESH_SECONDS:
                return
            traffic: Mapping[str, Passing] = await self.admin.traffic()
            now = time.monotonic()
            held = self.held()
            self._activities = signals.look(self._activities, self.writer.targets, traffic, held, now)
            self._looked = now
            metrics.passing({t: signals.in_flight(a, held.get(t)) for t, a in self._activities.items()})

    async def signals(self) -> dict[str, Any]:
        """The answer of `GET /signals`.

        Raises:
            Unreachable: Envoy cannot be asked, so nothing is known.
        """
        await self._look()
        endpoints = {t: len(e) for t, e in self.world.state().endpoints.items()}
        return signals.report(
            self.settings.identity,
            datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            self.world.complete,
            self._activities,
            self.held(),
            endpoints,
            time.monotonic(),
            self.counts(),
            self.writer.routes,
        )

    async def readiness(self) -> http.Readiness:
        """Ready while Envoy serves a configuration, be it an old one; what is wrong is said all the same."""
        envoy = await self.admin.ready()
        metrics.ENVOY_READY.set(envoy)
        problems = self.world.problems()
        problems += [kept_before(name) for name in sorted(self._refused)]
        problems += [f"Envoy refuses endpoints of {t}: {why}" for t, why in sorted(self.discovery.problems.items())]
        problems += [self.writer.problem] if self.writer.problem else []
        problems += [text for trouble in self.troubles if (text := trouble())]
        if not envoy:
            problems.append("Envoy does not take requests yet: see the log of container envoy")
        elif not self.discovery.connected:
            problems.append("Envoy is not connected for endpoints yet")
        if not self.writer.written:
            problems.append("no configuration has been written yet")
        serves = envoy and self.writer.written and not self._stopping and not self.refusing()
        return http.Readiness(serves, problems)

    async def scrape(self) -> None:
        """Bring gauges up to date."""
        with suppress(Unreachable):  # what Envoy last said stays
            await self._look()
        metrics.SYNCED.set(self.world.complete)
        for kind in {i.kind.plural for i in self.world.informers}:
            age = max(i.age for i in self.world.informers if i.kind.plural == kind)
            metrics.STALE_SECONDS.labels(kind).set(age)


async def run(settings: GatewaySettings, renderer: Renderer, parts: Sequence[Part] = ()) -> int:
    """Run until a signal; the exit code."""
    client = await Client.connect(None)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for sign in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(sign, stop.set)
    try:
        return await Agent(settings, client, renderer).run(stop, parts)
    finally:
        await client.close()
