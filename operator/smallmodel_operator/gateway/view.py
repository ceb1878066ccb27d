"""From what is listed and watched to what the gateway's configuration is made of. Pure."""

import base64
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeVar

from smallmodel_operator.api.names import LABEL_MODEL
from smallmodel_operator.core.keys import ENGINE_MASTER, TABLE, Identity, load
from smallmodel_operator.gateway.routed import Route, named
from smallmodel_operator.gateway.state import Endpoint, Issuer, Model, Object, State, endpoints_of

M = TypeVar("M", Model, Route)
SERVICE_LABEL: Final = "kubernetes.io/service-name"
PROOF_SECONDS: Final = 60.0
"""How long an address that answered before its pod was called ready is used without the kubelet's agreement."""
MASTER_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class Part:
    """One EndpointSlice: the target it belongs to (empty: none of ours) and its endpoints."""

    target: str
    endpoints: tuple[Endpoint, ...]
    foreign: tuple[str, ...] = ()
    """Addresses in it that are not used, for they are no pod's that Kubernetes found."""


@dataclass(frozen=True, slots=True)
class Keys:
    """What Secret `smallmodel-gateway-keys` holds."""

    table: Mapping[str, Identity] = field(default_factory=dict)
    engine_master: bytes = b""
    called: Mapping[str, Collection[str]] = field(init=False, compare=False, default_factory=dict)
    """For the name of a key that several models list: what its holder is called everywhere."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "called", _called(self.table.values()))  # once, not with every endpoint that moves

    def __repr__(self) -> str:
        return f"Keys({len(self.table)} keys)"  # hashes and the master never reach a log


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What does not come from models: see State."""

    issuer: Issuer | None = None
    peers: tuple[str, ...] = ()
    cluster_domain: str = "cluster.local"
    tls: bool = False


def doubtful(before: Collection[Any], now: Collection[Any]) -> bool:
    """Does an answer lack more than half of what was there (or all of it), so that one alone is not believed?"""
    lost = len(frozenset(before) - frozenset(now))
    return lost * 2 > len(before)


def part_of(endpoint_slice: Object) -> Part:
    """Read an EndpointSlice. Only those of a model's own headless Service count, whoever else uses our label."""
    meta = endpoint_slice["metadata"]
    labels = meta.get("labels") or {}
    name = labels.get(LABEL_MODEL, "")
    ours = bool(name) and labels.get(SERVICE_LABEL) == f"{name}-pods" and endpoint_slice.get("addressType") != "FQDN"
    if not ours:
        return Part("", ())
    used = endpoints_of([endpoint_slice])
    named = {a for item in endpoint_slice.get("endpoints") or () for a in item["addresses"]}
    return Part(f"{meta['namespace']}/{name}", used, tuple(sorted(named - {e.address for e in used})))


def merged(parts: Iterable[Part]) -> dict[str, tuple[Endpoint, ...]]:
    """Endpoints by target. An address that two slices name (it moves between them) counts as its better one."""
    found: dict[str, dict[str, Endpoint]] = {}
    for part in parts:
        of_target = found.setdefault(part.target, {})
        for endpoint in part.endpoints:
            known = of_target.get(endpoint.address)
            if known is None or _rank(endpoint) > _rank(known):
                of_target[endpoint.address] = endpoint
    found.pop("", None)
    return {target: tuple(sorted(of.values())) for target, of in found.items()}


def _rank(endpoint: Endpoint) -> tuple[bool, bool]:
    return not endpoint.terminating, endpoint.ready


def usable(endpoints: Iterable[Endpoint], proved: Collection[str] = ()) -> tuple[Endpoint, ...]:
    """Where requests may go: ready, or answered our own probe; never a pod that is about to end."""
    return tuple(e for e in endpoints if not e.terminating and (e.ready or e.address in proved))


def waiting(endpoints: Iterable[Endpoint]) -> tuple[Endpoint, ...]:
    """Those that may become usable: worth a probe while requests are held."""
    return tuple(e for e in endpoints if not e.terminating and not e.ready)


def still_proved(proofs: Mapping[str, float], endpoints: Iterable[Endpoint], now: float) -> dict[str, float]:
    """Proofs (address to time) that still count.

    The kubelet's own word replaces ours as soon as it says ready: from then on its "not ready" is believed.
    """
    open_addresses = {e.address for e in waiting(endpoints)}
    return {a: at for a, at in proofs.items() if a in open_addresses and now - at <= PROOF_SECONDS}


def keys_of(secret: Object) -> Keys:
    """Read the gateways' Secret.

    Raises:
        ValueError: it is not whole; the message names the entry. The caller keeps what it had.
    """
    data = secret.get("data") or {}
    missing = [entry for entry in (TABLE, ENGINE_MASTER) if entry not in data]
    if missing:
        raise ValueError(f"it has no entry {missing[0]!r}")
    try:
        text = base64.b64decode(data[TABLE], validate=True).decode()
        master = base64.b64decode(data[ENGINE_MASTER], validate=True)
    except ValueError:
        raise ValueError("an entry is not valid base64 of text") from None
    if len(master) != MASTER_BYTES:
        raise ValueError(f"entry {ENGINE_MASTER!r} has {len(master)} bytes, not {MASTER_BYTES}")
    return Keys(load(text), master)


def peers_of(parts: Iterable[Iterable[Endpoint]], own: str) -> tuple[str, ...]:
    """Addresses of the other gateways that are ready, sorted."""
    found = {e.address for part in parts for e in part if e.ready and not e.terminating}
    return tuple(sorted(found - {own}))


def state_of(
    models: Iterable[Model],
    endpoints: Mapping[str, tuple[Endpoint, ...]],
    proved: Mapping[str, Collection[str]],
    keys: Keys,
    around: Surroundings,
    routes: Iterable[Route] = (),
) -> State:
    """Put everything together. Endpoints of a target without a model are left out."""
    found = {m.target: _opened(m, keys.called) for m in sorted(models, key=lambda m: m.target)}
    by_target, by_path = named(
        found, {r.path: _heard(_opened(r, keys.called), keys.called) for r in sorted(routes, key=lambda r: r.path)}
    )
    return State(
        models=by_target,
        routes=by_path,
        endpoints={t: usable(endpoints.get(t, ()), proved.get(t, ())) for t in by_target},
        keys=keys.table,
        engine_master=keys.engine_master,
        issuer=around.issuer,
        peers=around.peers,
        cluster_domain=around.cluster_domain,
        tls=around.tls,
    )


def _called(identities: Iterable[Identity]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for who in identities:
        for name in who.also:
            found.setdefault(name, set()).add(who.name)
    return found


def _opened(model: M, called: Mapping[str, Collection[str]]) -> M:
    """The model or route with those let in, too, who bring a key that it lists under another name."""
    more = {who for name in model.access.allow & called.keys() for who in called[name]}
    return replace(model, access=replace(model.access, allow=model.access.allow | more)) if more else model


def _heard(route: Route, called: Mapping[str, Collection[str]]) -> Route:
    """The route that trusts those, too, who bring a key that it trusts under another name."""
    trusted = route.boundary.trusted
    more = [replace(one, who=who) for one in trusted for who in sorted(called.get(one.who, ()))]
    return replace(route, boundary=replace(route.boundary, trusted=(*trusted, *more))) if more else route
