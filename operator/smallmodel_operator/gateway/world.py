"""Everything a gateway watches, and the state made of it. What cannot be had is kept as it was, and said."""

import logging
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from typing import Final

from smallmodel_operator.api.names import EGRESS, GATEWAY, GATEWAY_KEYS, LABEL_MODEL
from smallmodel_operator.boundary.seal import Boundary
from smallmodel_operator.cluster.client import Client
from smallmodel_operator.cluster.informer import Informer, Key
from smallmodel_operator.cluster.kinds import KINDS, Kind
from smallmodel_operator.gateway.boundary.watch import RELIST_SECONDS, BoundaryWatch
from smallmodel_operator.gateway.gathered import Gathered
from smallmodel_operator.gateway.routed import Route
from smallmodel_operator.gateway.settings import GatewaySettings
from smallmodel_operator.gateway.state import Endpoint, Issuer, Model, Object, State, endpoints_of
from smallmodel_operator.gateway.tokens import Tokens
from smallmodel_operator.gateway.view import (
    SERVICE_LABEL,
    Keys,
    Part,
    Surroundings,
    doubtful,
    keys_of,
    merged,
    part_of,
    peers_of,
    state_of,
    still_proved,
    usable,
    waiting,
)
from smallmodel_operator.routing.policy import External

SLICES: Final = Kind("discovery.k8s.io/v1", "EndpointSlice", "endpointslices")
Watched = (
    Informer[Model] | Informer[Route] | Informer[Part] | Informer[tuple[Endpoint, ...]] | Informer[Keys] | BoundaryWatch
)
OLD_SECONDS: Final = 150.0
"""Silence of the API server after which what is known is called old; lists come every minute."""

logger = logging.getLogger(__name__)


class World:
    """The caches.

    Args:
        client: connection to the API server.
        settings: who and where this gateway is.
        known: keys and issuer from before a restart.
        targets: targets that had files before a restart: a first list that lacks most of them is doubted.
        changed: something else than endpoints is different.
        moved: endpoints of this target are different.
        clock: monotonic seconds.
        boundary: the boundary from before a restart.
    """

    def __init__(
        self,
        client: Client,
        settings: GatewaySettings,
        known: tuple[Keys | None, Issuer | None],
        targets: Collection[str],
        changed: Callable[[], None],
        moved: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
        boundary: Boundary | None = None,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._changed = changed
        self._moved = moved
        self.keys, issuer = known
        self._keys_problem = ""
        self._parts: dict[str, dict[Key, Part]] = {}
        self._endpoints: dict[str, tuple[Endpoint, ...]] = {}
        self._proofs: dict[str, dict[str, float]] = {}
        relist, known_models = settings.gateway_relist_seconds, [_key(t) for t in targets]
        own, service = settings.namespace, {"labelSelector": f"{SERVICE_LABEL}={GATEWAY}-pods"}
        self.tokens = Tokens(client, lambda _: changed(), issuer)
        places: tuple[str | None, ...] = settings.watch_namespaces or (None,)
        self.models: Gathered[Model] = Gathered(
            Informer(
                client, KINDS["SmallModel"], Model.of, self._model, namespace=place,
                doubt=doubtful, known=[k for k in known_models if place in (None, k[0])], relist=relist,
            )
            for place in places
        )  # fmt: skip
        self.routes: Gathered[Route] = Gathered(
            Informer(client, KINDS["ModelRoute"], Route.of, lambda *_: changed(), namespace=place, relist=relist)
            for place in places
        )
        self.slices: Gathered[Part] = Gathered(
            Informer(
                client, SLICES, part_of, self._slice, namespace=place,
                selector={"labelSelector": LABEL_MODEL}, doubt=doubtful, relist=relist,
            )
            for place in places
        )  # fmt: skip
        self._peers: Informer[tuple[Endpoint, ...]] = Informer(
            client, SLICES, lambda o: endpoints_of([o]), lambda *_: changed(),
            namespace=own, selector=service, relist=relist,
        )  # fmt: skip
        self._egress: Informer[tuple[Endpoint, ...]] = Informer(
            client, SLICES, lambda o: endpoints_of([o]), lambda *_: changed(),
            namespace=EGRESS, selector={"labelSelector": f"{SERVICE_LABEL}={EGRESS}"}, relist=relist,
        )  # fmt: skip
        self.boundaries = BoundaryWatch(client, changed, boundary, min(relist, RELIST_SECONDS))
        self._secret: Informer[Keys] = Informer(
            client, KINDS["Secret"], self._read_secret, self._keys,
            namespace=own, selector={"fieldSelector": f"metadata.name={GATEWAY_KEYS}"}, relist=relist,
        )  # fmt: skip

    @property
    def informers(self) -> Sequence[Watched]:
        return (
            *self.models.informers,
            *self.routes.informers,
            *self.slices.informers,
            self._peers,
            self._egress,
            self._secret,
            self.boundaries,
        )

    @property
    def complete(self) -> bool:
        """All that a configuration cannot do without has been seen; before that the files stay as they are."""
        listed = self.models.synced and self.routes.synced and self.slices.synced and self.keys is not None
        return listed and self.boundaries.known and (self.tokens.asked or bool(self.tokens.issuer))

    @property
    def waiting_for_keys(self) -> str:
        """Why no key is known though the Secret was looked for; else empty. Only the operator can help."""
        if self.keys is not None or not self._secret.synced:
            return ""
        what = self._keys_problem or f"Secret {GATEWAY_KEYS} is missing in namespace {self._settings.namespace}"
        return f"this gateway takes no requests until the operator has written it: {what}"

    def problems(self) -> list[str]:
        """What is not as it should be, in sentences."""
        # Where nothing leads to the egress nobody may be allowed to look for it.
        leads = any(route.outside for route in self.routes.objects.values())
        asked = [i for i in self.informers if leads or i is not self._egress]
        found = [i.problem for i in asked if i.problem]
        found += [
            f"the API server has said nothing about {i.kind.plural} for {i.age:.0f} s, what was known is kept"
            for i in asked
            if not i.problem and i.age > OLD_SECONDS
        ]
        if waiting := self.waiting_for_keys:
            found.append(waiting)
        elif self._keys_problem:
            found.append(f"{self._keys_problem}; the last keys are kept")
        elif self._secret.synced and not self._secret.objects:
            missing = f"Secret {GATEWAY_KEYS} is missing in namespace {self._settings.namespace}"
            found.append(f"{missing}: the last keys are kept")
        if not self.complete and not found:
            found.append("not everything has been listed yet, the last configuration is kept")
        return [*found, *filter(None, (self.tokens.problem,))]

    # -- questions ---------------------------------------------------------------------------------------------

    def model(self, target: str) -> Model | None:
        """The model of a target."""
        model = self.models.objects.get(_key(target))
        return self._bounded(model) if model else None

    @property
    def boundary(self) -> Boundary:
        """What is stopped, as last known."""
        return self.boundaries.now

    def _bounded(self, model: Model) -> Model:
        return replace(model, stopped=True) if self.boundary.stops(model.namespace) else model

    def _enclosed(self, route: Route) -> Route:
        """The route within what an administrator allows."""
        found = replace(route, stopped=self.boundary.stops(route.namespace))
        if self.boundary.leads_outside(route.namespace):
            return found
        return replace(found, boundary=replace(route.boundary, external=External.DENIED))

    def not_ready(self, target: str) -> tuple[Endpoint, ...]:
        """Endpoints that may become usable."""
        return waiting(self._endpoints.get(target, ()))

    def peers(self) -> tuple[str, ...]:
        """Addresses of the other gateways."""
        return peers_of(self._peers.objects.values(), self._settings.pod_ip)

    def state(self, only: str = "") -> State:
        """Everything as values; with `only` of one target."""
        models: Iterable[Model] = map(self._bounded, self.models.objects.values())
        if only:
            model = self.model(only)
            models = [model] if model else []
        around = Surroundings(
            self.tokens.issuer, self.peers(), self._settings.cluster_domain, self._settings.gateway_tls
        )
        routes = () if only else tuple(map(self._enclosed, self.routes.objects.values()))
        found = state_of(models, self._endpoints, self._proofs, self.keys or Keys(), around, routes)
        return replace(found, egress=usable(sorted({e for part in self._egress.objects.values() for e in part})))

    # -- changes -----------------------------------------------------------------------------------------------

    def prove(self, target: str, addresses: Collection[str]) -> None:
        """These addresses of a target answered a probe: usable before the kubelet says so."""
        now = self._clock()
        self._proofs.setdefault(target, {}).update(dict.fromkeys(addresses, now))
        self._judge(target)

    def expire(self) -> None:
        """Forget proofs that the kubelet never agreed to."""
        for target, proofs in list(self._proofs.items()):
            if still_proved(proofs, self._endpoints.get(target, ()), self._clock()) != proofs:
                self._judge(target)

    def _model(self, _: Key, before: Model | None, now: Model | None) -> None:
        """What only the activator asks for, with every wake some of it, is no reason to write everything. Decisions go
        by the state that was written last, so what they ask for is one."""
        said = [(model.configured, model.context_tokens) for model in (before, now) if model is not None]
        if len(said) < 2 or said[0] != said[1]:
            self._changed()

    def _slice(self, key: Key, before: Part | None, now: Part | None) -> None:
        if before is not None:
            self._parts.get(before.target, {}).pop(key, None)
        if now is not None:
            if now.foreign and (before is None or before.foreign != now.foreign):
                why = "no pod that Kubernetes found for its Service has such an address"
                logger.warning("not used as endpoints of %s: %s: %s", now.target, ", ".join(now.foreign), why)
            self._parts.setdefault(now.target, {})[key] = now
        for target in {p.target for p in (before, now) if p is not None and p.target}:
            found = merged(self._parts.get(target, {}).values()).get(target, ())
            if found != self._endpoints.get(target, ()):
                self._endpoints[target] = found
                self._judge(target)
            if not self._parts.get(target):
                self._parts.pop(target, None)
                self._endpoints.pop(target, None)

    def _judge(self, target: str) -> None:
        kept = still_proved(self._proofs.get(target, {}), self._endpoints.get(target, ()), self._clock())
        if kept:
            self._proofs[target] = kept
        else:
            self._proofs.pop(target, None)
        self._moved(target)

    def _read_secret(self, secret: Object) -> Keys:
        try:
            keys = keys_of(secret)
        except ValueError as error:
            self._keys_problem = f"Secret {GATEWAY_KEYS} cannot be used: {error}"
            raise
        self._keys_problem = ""
        return keys

    def _keys(self, _: Key, before: Keys | None, now: Keys | None) -> None:
        if now is not None:  # a Secret that is gone leaves its last table in force
            self.keys = now
            self._changed()


def _key(target: str) -> Key:
    namespace, _, name = target.partition("/")
    return namespace, name
