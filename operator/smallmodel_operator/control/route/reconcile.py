"""One route, once: look, decide, write, say how it stands. Called again and again, by the loop that models have."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Protocol

from smallmodel_operator.api.conditions import Reason
from smallmodel_operator.boundary.offers import Offer, Way
from smallmodel_operator.cluster.apply import Applier
from smallmodel_operator.cluster.children import FORGET_SECONDS, Children, ModelKey
from smallmodel_operator.cluster.client import Client
from smallmodel_operator.cluster.events import Events
from smallmodel_operator.cluster.key_table import KeyTable
from smallmodel_operator.cluster.observe import Observer
from smallmodel_operator.cluster.secrets import Secrets
from smallmodel_operator.cluster.signals import Signals
from smallmodel_operator.cluster.status_writer import StatusWriter
from smallmodel_operator.control import status
from smallmodel_operator.control.report import Reporter
from smallmodel_operator.control.route import decide, outside
from smallmodel_operator.control.route.budgeted import Budgets
from smallmodel_operator.control.route.classified import Classifiers
from smallmodel_operator.control.route.recognized import Recognizers
from smallmodel_operator.control.route.resolve import Route, resolve
from smallmodel_operator.control.verdict import Verdict
from smallmodel_operator.core.facts import Object, Snapshot
from smallmodel_operator.core.outcome import NotYet, Refused
from smallmodel_operator.core.plan import Plan
from smallmodel_operator.resolve import Site

KIND = "ModelRoute"


class Offers(Protocol):
    """Who collects what routes offer to the egress: see cluster/egress.py."""

    @property
    def way(self) -> Way: ...
    def offer(self, route: ModelKey, offers: Sequence[Offer], by: str) -> None: ...
    def forget(self, route: ModelKey, by: str) -> None: ...


class NoEgress:
    """Where there is none."""

    way = Way()

    def offer(self, route: ModelKey, offers: Sequence[Offer], by: str) -> None:
        """Nobody takes it."""

    def forget(self, route: ModelKey, by: str) -> None:
        """There is nothing to forget."""


class RouteReconciler:
    """The flow of ModelRoutes, with the effects it uses."""

    def __init__(
        self, client: Client, observer: Observer, signals: Signals, events: Events, site: Site, keys: KeyTable
    ) -> None:
        self.children = Children()
        self.secrets = Secrets(client, kind=KIND)
        self.egress: Offers = NoEgress()
        self.busy: Callable[[], bool] = lambda: False
        """Are routes waiting for their turn? The loop knows and sets it."""
        self.reaches_recognizers = False
        """Have gateways a way to Services of routes' namespaces? The chart says."""
        self._recognizers = Recognizers(client, lambda: self.reaches_recognizers)
        self._observer = observer
        self._signals = signals
        self._events = events
        self._site = site
        self._keys = keys
        self._classifiers = Classifiers(client)
        self.budgets = Budgets(client, site.gateway_namespace)
        self._applier = Applier(client, self.children, KIND)
        self._writer = StatusWriter(client, KIND)
        self._reporter = Reporter(self._writer, events)

    async def reconcile(self, body: Object) -> Verdict:
        """Bring one route a step closer to its spec and say how it stands.

        Raises:
            NotLeader: this process may no longer write.
            Exception: an outage or a bug; the loop backs off and retries.
        """
        meta = body["metadata"]
        key: ModelKey = (meta["namespace"], meta["name"])
        route, hold = self._understand(body)
        snapshot, models = await self._look(body, route)
        decision, found = decide.Decision(Plan.of((), prune=False), hold), decide.NOTHING
        if route is not None:
            unrecognized = await self._recognizers.look(route, models)
            found = outside.decide(route, snapshot.secrets, snapshot.boundary, self.egress.way, unrecognized)
            classified = await self._classifiers.look(key, route)
            budgeted = await self.budgets.look(route.path, route.budgets, snapshot.now)
            decision = decide.decide(route, snapshot, models, classified, found, budgeted)
            hold = decision.hold
        plan = decision.plan
        # A route that is not understood, or has not its name, leads nowhere.
        self.egress.offer(key, () if hold else found.offers, meta["uid"])
        try:
            fresh = not snapshot.children
            notes = await self.secrets.publish(key, meta["uid"], plan.secrets, fresh=fresh)
            if isinstance(hold, Refused) and hold.reason is Reason.NAME_TAKEN:
                self._keys.forget(key, meta["uid"])
            elif route is not None:
                self._keys.offer(key, plan.keys, meta["uid"])
            await self._applier.apply(key, meta["uid"], plan, snapshot.children)
        except (Refused, NotYet) as error:
            hold, notes = error, ()
        if unfit := self._keys.problem(key):
            plan = replace(plan, problems=(*plan.problems, unfit))
        seen = decide.judge(body, route, snapshot, models, plan, hold, outside=found)
        await self._reporter.report(body, snapshot.previous_status, seen.status)
        for note in notes:
            said = {"reason": note.reason, "action": "Reconcile", "note": note.message}
            await self._events.send(body, warning=False, **said)
        if self.children.unconfirmed(key):
            return replace(seen, look_again_seconds=min(seen.look_again_seconds, FORGET_SECONDS + 1))
        return seen

    async def report_outage(self, body: Object, message: str) -> None:
        """Show a failure in the status, without planning anything, beside what is refused."""
        route, hold = self._understand(body)
        snapshot, models = await self._look(body, route, secrets=False)
        hold = hold or status.standing(snapshot.previous_status, body["metadata"].get("generation", 0))
        seen = decide.judge(body, route, snapshot, models, Plan.of((), prune=False), hold, message)
        await self._reporter.report(body, snapshot.previous_status, seen.status)

    def forget(self, body: Object, *, succeeded: bool = False) -> None:
        """The route is gone: drop what was cached for it, unless it is a successor's of the same name by now."""
        meta = body["metadata"]
        self._writer.forget(meta["uid"])
        self._events.forget(meta["uid"])
        if succeeded:
            return
        key = (meta["namespace"], meta["name"])
        self._applier.forget(key)
        self.children.forget(key)
        self.secrets.forget(key)
        self._classifiers.forget(key)
        self.budgets.forget("/".join(key))
        self._keys.forget(key, meta["uid"])
        self.egress.forget(key, meta["uid"])

    def _understand(self, body: Object) -> tuple[Route | None, Refused | NotYet | None]:
        try:
            return resolve(body, self._site), None
        except Refused as refused:
            return None, refused

    async def _look(self, body: Object, route: Route | None, *, secrets: bool = True) -> tuple[Snapshot, decide.Models]:
        meta = body["metadata"]
        key: ModelKey = (meta["namespace"], meta["name"])
        given = named(route) if route and secrets else set()
        snapshot = Snapshot(
            now=datetime.now(UTC),
            children=self.children.of(key, meta["uid"]),
            previous_status=self._writer.latest(body),
            masters=self._observer.masters,
            secrets=await self.secrets.read(key, given),
            traffic=await self._signals.traffic(key),
            boundary=self._observer.boundary(meta["namespace"]),
        )
        wanted = {key, *(target.key for target in route.targets)} if route else {key}
        if route:
            wanted |= {(route.namespace, one.model) for one in route.boundary.recognizers if one.model}
        return snapshot, {one: self._observer.named.model(one) for one in wanted}


def named(route: Route) -> set[str]:
    """The Secrets a route names."""
    keys = {entry.secret_ref.name for entry in route.access.api_keys}
    return keys | {target.secret.name for target in route.outside if target.secret}
