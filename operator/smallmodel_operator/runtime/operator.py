"""The operator process: stand by, lead, run kopf, stop. Losing the lease ends the process: a fresh one is safe."""

import asyncio
import logging
import signal
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, cast

import aiohttp
import kopf

from smallmodel_operator import __version__
from smallmodel_operator.api.names import FINALIZER, LABEL_MANAGED_BY, OPERATOR
from smallmodel_operator.cluster.apply import Applier
from smallmodel_operator.cluster.boundary_status import BoundaryStatus
from smallmodel_operator.cluster.canary import CanaryPods, Where
from smallmodel_operator.cluster.capabilities import NotInstalled, discover
from smallmodel_operator.cluster.children import Children
from smallmodel_operator.cluster.client import ApiError, Client
from smallmodel_operator.cluster.downloads import Downloads
from smallmodel_operator.cluster.events import Events
from smallmodel_operator.cluster.fence import Fence, NotLeader
from smallmodel_operator.cluster.key_table import KeyTable
from smallmodel_operator.cluster.kinds import CHILD_KINDS, KINDS
from smallmodel_operator.cluster.lease import Lease
from smallmodel_operator.cluster.observe import Observer
from smallmodel_operator.cluster.secrets import Secrets
from smallmodel_operator.cluster.signals import Signals
from smallmodel_operator.cluster.spend import Occupancy, Spend
from smallmodel_operator.cluster.status_writer import StatusWriter
from smallmodel_operator.cluster.trials import Trials
from smallmodel_operator.control.budgets import Budgets
from smallmodel_operator.control.loop import Loop
from smallmodel_operator.control.places import Places
from smallmodel_operator.control.reconcile import Reconciler
from smallmodel_operator.control.route.reconcile import RouteReconciler
from smallmodel_operator.control.scaler import Scaler
from smallmodel_operator.core.facts import Capabilities, Object
from smallmodel_operator.core.keys import Masters
from smallmodel_operator.handlers import Routes, register
from smallmodel_operator.runtime import cost_metrics, frugal, http, metrics, outside, scraping
from smallmodel_operator.runtime.boundary import BoundaryWatch
from smallmodel_operator.runtime.ending import unless
from smallmodel_operator.runtime.kopf_parts import Backoffs, NoDiffBase, NoProgress
from smallmodel_operator.runtime.settings import Settings
from smallmodel_operator.runtime.spending import Seen, Spending

LOST_LEASE = 3
"""Exit code when another process leads now; the kubelet starts us again as a follower."""
START_RETRY_SECONDS = 5.0
CANARY_END_SECONDS = 3.0
"""For the canary to remove its Jobs; without it they end by themselves."""

Poke = Callable[[Callable[[str], bool]], None]
"""Wakes the models and routes whose namespace passes a test."""

logger = logging.getLogger(__name__)


async def run(
    settings: Settings,
    client: Client | None = None,
    stop: asyncio.Event | None = None,
    lost: Callable[[], None] = lambda: None,
) -> int:
    """Run until a signal, `stop`, or the loss of the lease, which `lost` is told of (in a thread); returns the exit
    code. Closes the client."""
    client = client or await Client.connect(Fence())
    stop = stop or asyncio.Event()
    loop = asyncio.get_running_loop()
    for sign in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(sign, stop.set)
    state = _State(client)
    runner = await http.serve(settings.http_port, state.healthy, state.scrape)
    try:
        return await _lead(settings, client, state, stop, lost)
    finally:
        await runner.cleanup()
        await client.close()


class _State:
    """What the HTTP port tells about the process."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.kopf: asyncio.Task[None] | None = None
        self.lease: Lease | None = None
        self.keys: KeyTable | None = None

    def healthy(self) -> bool:
        """Whether what should run does: the watches, and the thread that renews the lease."""
        return (self.kopf is None or not self.kopf.done()) and (self.lease is None or self.lease.alive)

    def scrape(self) -> None:
        metrics.API_REQUESTS.set(self._client.requests)
        metrics.API_WRITES.set(self._client.writes)
        metrics.LEADING.set(1 if self._client.fence.remaining > 0 else 0)
        if self.keys is not None:
            metrics.KEY_TABLE_BYTES.set(self.keys.size)
            metrics.KEY_TABLE_TIME.set(self.keys.compared)


async def _lead(
    settings: Settings, client: Client, state: _State, stop: asyncio.Event, told: Callable[[], None]
) -> int:
    lease = Lease(client, settings.namespace, settings.lease_name, settings.identity, lost=told)
    state.lease = lease
    if not await unless(stop, lease.acquire()):
        return 0
    code = 0
    async with lease.held() as lost:
        state.keys = keys = KeyTable(client, settings.namespace, settings.watch_namespaces or (None,))
        start = await unless(stop, _discover(client, settings, keys), lost)
        if isinstance(start, _Start):
            metrics.BUILD.info({"version": __version__, "cluster": start.capabilities.version})
            state.kopf = asyncio.create_task(_watch(settings, client, start, keys, stop))
            await asyncio.wait({state.kopf, lost}, return_when=asyncio.FIRST_COMPLETED)
        if lost.done():
            code = LOST_LEASE
        elif state.kopf is not None and state.kopf.done() and (error := state.kopf.exception()):
            logger.error("the watches ended: %r", error)
            code = 1
        stop.set()
        if state.kopf is not None and not state.kopf.done():
            await asyncio.wait({state.kopf}, timeout=5)
            state.kopf.cancel()
    if code != LOST_LEASE:
        await lease.release()
    return code


@dataclass(frozen=True, slots=True)
class _Start:
    """What has to be known before the first pass."""

    capabilities: Capabilities
    masters: Masters


async def _discover(client: Client, settings: Settings, keys: KeyTable) -> _Start:
    """Keep asking until the cluster answers: the operator may start before its CRDs or the API server."""
    while True:
        try:
            found = await discover(client, settings.namespace)
            if settings.image_volumes == "Never":
                found = replace(found, image_volumes=False)
            logger.info("cluster %s, image volumes: %s", found.version, "yes" if found.image_volumes else "no")
            return _Start(found, await keys.masters())
        except (NotInstalled, NotLeader, ApiError, aiohttp.ClientError, TimeoutError) as error:
            logger.error("not ready to work: %s", error)
            await asyncio.sleep(START_RETRY_SECONDS)


async def _watch(settings: Settings, client: Client, start: _Start, keys: KeyTable, stop: asyncio.Event) -> None:
    children, statuses = Children(), StatusWriter(client)
    secrets, signals = Secrets(client), Signals(client, settings.namespace, settings.gateways)
    observer = Observer(client, children, statuses, start.capabilities, secrets, signals)
    observer.masters = start.masters
    downloads = Downloads()
    observer.progress = downloads.ask
    keys.models = lambda: observer.named.all(observer.model_names())
    events = Events(client, settings.identity)
    site = replace(settings.site(), image_volumes=start.capabilities.image_volumes)
    reconciler = Reconciler(observer, Applier(client, children), statuses, events, site, secrets, keys)
    following = RouteReconciler(client, observer, signals, events, site, keys)
    following.budgets.observe = metrics.route_budgets
    routes = Routes(Loop(following, metrics.reconciled), following.children)
    registry = kopf.OperatorRegistry()
    reconciler.noted = metrics.noted
    loop = Loop(reconciler, metrics.reconciled)
    trials = Trials(lambda: start.masters, loop.pokes.poke)
    observer.trials, reconciler.want_trials = trials.known, trials.want
    scraped = scraping.signals_of(settings, signals)
    scaler = Scaler((scraped or signals).traffics, loop.pokes.poke)
    observer.scaled, reconciler.follow, scaler.observe = scaler.said, scaler.follow, metrics.scaled
    observer.granted, scaler.site = scaler.granted, Places(Occupancy(client), children).look
    poke = _poker(observer, loop, routes.loop)
    signals.turned = lambda: poke(lambda _: True)
    watch = _boundary(settings, client, observer, events, poke)
    following.reaches_recognizers = settings.recognizers
    following.egress = away = outside.egress_of(settings, client, start.masters, lambda: poke(lambda _: True))
    bounded = outside.both(away.heard, watch.heard)
    register(registry, loop, observer, client, routes, len(settings.watch_namespaces), bounded)
    ledger = _spending(settings, client, observer, signals)
    ledger.warn = partial(_warn, events)
    ledger.meters = meters = scraping.meters_of(settings)
    budgets = Budgets(ledger.spent, loop.pokes.poke, lambda: datetime.now(UTC))
    observer.budget, reconciler.follow_budget, ledger.counted = budgets.said, budgets.follow, budgets.look
    budgets.observe = cost_metrics.budget
    looks = [secrets.watch(loop.pokes.poke), following.secrets.watch(routes.loop.pokes.poke), signals.follow()]
    looks += [away.run(), *([scraped.follow()] if scraped else [])]
    table, boundary, spending, *others = (
        asyncio.create_task(work) for work in (keys.run(), watch.run(), ledger.run(), scaler.run(), *looks)
    )
    frugal.settle()  # modules stay: a full collection looks at models alone, and costs less
    try:
        await _kopf(registry, settings, stop)
    finally:
        for task in (table, boundary, *others, spending):  # the table first: a model whose daemon ends now is not gone
            task.cancel()
        if scraped is not None:
            scraped.close()
        await asyncio.wait({boundary, spending}, timeout=CANARY_END_SECONDS)
        if meters is not None:
            meters.close()
        await signals.close()
        await downloads.close()
        await trials.close()


async def _warn(events: Events, config_map: Object, text: str) -> None:
    await events.send(config_map, warning=True, reason="PricesUnusable", action="Count", note=text)


def _poker(observer: Observer, loop: Loop, routes: Loop) -> Poke:
    def poke(concerned: Callable[[str], bool]) -> None:
        for route in observer.named.routes:
            if concerned(route[0]):
                routes.pokes.poke(route)
        for model in observer.model_names() or ():
            if concerned(model[0]):
                loop.pokes.poke(model)

    return poke


def _boundary(settings: Settings, client: Client, observer: Observer, events: Events, poke: Poke) -> BoundaryWatch:
    """What watches the boundary, and what models are told of it."""
    where = Where(settings.namespace, settings.image, settings.cluster_domain)
    pods = CanaryPods(client, where, observer.tolerations) if settings.canary_seconds else None
    interval = timedelta(seconds=settings.canary_seconds)
    watch = BoundaryWatch(pods, interval, BoundaryStatus(client), events, observer.cluster_boundary, poke)
    observer.boundary = watch.of
    return watch


def _spending(settings: Settings, client: Client, observer: Observer, signals: Signals) -> Spending:
    """What keeps the ledger, and models' statuses told of it."""
    seen = Seen(
        profiles=lambda: (p for found in list(observer.profiles.values()) for p in found),
        pods=observer.children.all_pods,
        synced=lambda: observer.models is not None,
        places=settings.watch_namespaces or (None,),
    )
    spending = Spending(Spend(client, settings.namespace), Occupancy(client), seen, signals.usage)
    observer.cost = spending.cost
    return spending


async def _kopf(registry: kopf.OperatorRegistry, settings: Settings, stop: asyncio.Event) -> None:
    await kopf.operator(
        registry=registry,
        settings=kopf_settings(),
        # kopf would ask for the user's name, which a bare user id in a container does not have.
        identity=cast(Any, settings.identity),
        standalone=True,
        clusterwide=not settings.watch_namespaces,
        namespaces=settings.watch_namespaces,
        stop_flag=stop,
    )


def kopf_settings() -> kopf.OperatorSettings:
    """Every setting we depend on, said explicitly."""
    settings = kopf.OperatorSettings()
    settings.persistence.finalizer = FINALIZER
    settings.persistence.diffbase_storage = NoDiffBase()
    settings.persistence.progress_storage = NoProgress()
    settings.posting.enabled = False  # we send events ourselves, each once
    settings.peering.standalone = True
    settings.scanning.disabled = True  # our kinds are known; no right to list CRDs or namespaces is needed
    settings.watching.server_timeout = 300
    settings.watching.client_timeout = 310
    settings.watching.connect_timeout = 30
    settings.watching.reconnect_backoff = 1
    settings.networking.request_timeout = 30
    settings.networking.connect_timeout = 10
    settings.networking.error_backoffs = Backoffs()
    settings.background.cancellation_polling = 5
    settings.background.instant_exit_timeout = 0.1
    settings.queueing.exit_timeout = 1
    settings.queueing.idle_timeout = 1  # a task for each object seen lately: a burst of thousands is memory
    settings.process.ultimate_exiting_timeout = 30
    for kind in (*CHILD_KINDS, "Pod"):
        resource = KINDS[kind]
        group = resource.api_version.rpartition("/")[0]
        settings.watching.label_selectors[group, resource.plural] = f"{LABEL_MANAGED_BY}={OPERATOR}"
    return settings
