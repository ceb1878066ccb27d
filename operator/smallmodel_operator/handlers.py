"""kopf decorators and nothing else: watches fill indices, events poke, one daemon per SmallModel or ModelRoute is its
loop.

Every handler is a coroutine though none waits: kopf runs plain functions in a thread each, which costs more than
all they do.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import kopf

from smallmodel_operator.api.names import (
    GROUP,
    LABEL_ARTIFACT,
    LABEL_MANAGED_BY,
    LABEL_MODEL,
    LABEL_ROUTE,
    OPERATOR,
    VERSION,
)
from smallmodel_operator.cluster.children import Children, pack
from smallmodel_operator.cluster.client import CONNECTIONS, Client
from smallmodel_operator.cluster.kinds import CHILD_KINDS, KINDS
from smallmodel_operator.cluster.observe import Observer
from smallmodel_operator.control.loop import Loop
from smallmodel_operator.core.routes import referred, served
from smallmodel_operator.runtime import metrics

MODELS = (GROUP, VERSION, "smallmodels")
PROFILES = (GROUP, VERSION, "computeprofiles")
ROUTES = (GROUP, VERSION, "modelroutes")
BOUNDARIES = (GROUP, VERSION, "clusterboundaries")
WATCHES = len(CHILD_KINDS) + 5
"""Connections that never end, in each namespace served; a pool without room for them would starve the rest."""


@dataclass(frozen=True, slots=True)
class Routes:
    """What runs ModelRoutes: their loop, and what is known of their Services."""

    loop: Loop
    children: Children


def register(
    registry: kopf.OperatorRegistry,
    loop: Loop,
    observer: Observer,
    client: Client,
    routes: Routes,
    namespaces: int = 0,
    boundary_changed: Callable[[], None] = lambda: None,
) -> None:
    """Declare all handlers on a registry of our own: importing this module has no effect."""
    _login(registry, client, WATCHES * max(1, namespaces) + CONNECTIONS)
    _models(registry, loop, observer, routes)
    _profiles(registry, loop, observer)
    _routes(registry, loop, observer, routes)
    _boundaries(registry, observer, boundary_changed)
    for kind in (*CHILD_KINDS, "Pod"):
        _children(registry, kind, loop, observer.children)
    _route_services(registry, routes)


def _login(registry: kopf.OperatorRegistry, client: Client, connections: int) -> None:
    @kopf.on.login(registry=registry)
    async def login(**_: Any) -> kopf.AiohttpSession:
        """kopf writes our finalizer through the same fence as everything else."""
        return kopf.AiohttpSession(server=client.server, aiohttp_session=client.new_session(connections))


def _models(registry: kopf.OperatorRegistry, loop: Loop, observer: Observer, routes: Routes) -> None:
    @kopf.index(*MODELS, id="models", when=_stays, registry=registry)
    async def models(namespace: str | None, name: str, body: kopf.Body, **_: Any) -> Any:
        profile = ((body["spec"].get("compute") or {}).get("profileRef") or {}).get("name", "default")
        return {profile: (namespace or "", name)}

    @kopf.index(*MODELS, id="weights", when=_knows_weights, registry=registry)
    async def weights(namespace: str | None, body: kopf.Body, **_: Any) -> Any:
        known = body["status"]["weights"]
        return {(namespace, known["artifact"]): dict(known)}

    @kopf.index(*MODELS, id="sources", registry=registry)
    async def sources(namespace: str | None, body: kopf.Body, **_: Any) -> Any:
        status = body.get("status") or {}
        known, frozen = status.get("weights") or {}, dict(status.get("source") or {})
        folders = {key: known[key] for key in ("artifact", "folder", "previous") if key in known}
        wanted = dict(body["spec"].get("source") or {})
        converted = dict((status.get("quantization") or {}).get("converted") or {})
        return {namespace or "": {"source": wanted, "frozen": frozen, "weights": folders, "converted": converted}}

    @kopf.index(*MODELS, id="tolerated", when=_tolerates, registry=registry)
    async def tolerated(namespace: str | None, name: str, body: kopf.Body, **_: Any) -> Any:
        return {(namespace or "", name): [dict(t) for t in body["spec"]["compute"]["tolerations"]]}

    @kopf.on.event(*MODELS, registry=registry)
    async def model_changed(namespace: str | None, name: str, leading: Any = None, **_: Any) -> None:
        loop.pokes.poke((namespace or "", name))
        for route in (*leading.get((namespace or "", name), ()), (namespace or "", name)):
            routes.loop.pokes.poke(route)

    @kopf.daemon(*MODELS, registry=registry, cancellation_timeout=5)
    async def work(body: kopf.Body, **indices: Any) -> None:
        _tell(observer, indices)
        with metrics.MODELS.track_inprogress():
            await loop.run(lambda: dict(body))  # a plain dict: kopf's view resolves every access anew


def _profiles(registry: kopf.OperatorRegistry, loop: Loop, observer: Observer) -> None:
    @kopf.index(*PROFILES, id="profiles", registry=registry)
    async def profiles(name: str, body: kopf.Body, **_: Any) -> Any:
        return {name: {"metadata": {"name": name}, "spec": dict(body.get("spec") or {})}}

    @kopf.on.event(*PROFILES, registry=registry)
    async def profile_changed(name: str, models: Any = None, profiles: Any = None, **_: Any) -> None:
        observer.profiles = profiles  # the canary goes by them before there is a model whose daemon tells
        for model in models.get(name, ()):
            loop.pokes.poke(model)


def _tell(observer: Observer, indices: Mapping[str, Any]) -> None:
    observer.models = indices["models"]
    observer.named.routes, observer.named.served = indices["routes"], indices["served"]
    observer.profiles, observer.weights = indices["profiles"], indices["weights"]
    observer.jobs, observer.sources = indices["jobs_by_artifact"], indices["sources"]
    observer.boundaries, observer.tolerated = indices["boundaries"], indices["tolerated"]
    observer.children.indices = {kind: indices[_index(kind)] for kind in (*CHILD_KINDS, "Pod")}


def _routes(registry: kopf.OperatorRegistry, loop: Loop, observer: Observer, routes: Routes) -> None:
    @kopf.index(*MODELS, id="served", when=_stays, registry=registry)
    async def served_model(namespace: str | None, name: str, body: kopf.Body, **_: Any) -> Any:
        return {(namespace or "", name): served(body)}

    @kopf.index(*ROUTES, id="routes", when=_stays, registry=registry)
    async def created(namespace: str | None, name: str, meta: kopf.Meta, **_: Any) -> Any:
        return {(namespace or "", name): str(meta.get("creationTimestamp") or "")}

    @kopf.index(*ROUTES, id="leading", when=_stays, registry=registry)
    async def leading(namespace: str | None, name: str, body: kopf.Body, **_: Any) -> Any:
        return {model: (namespace or "", name) for model in referred(body)}

    @kopf.on.event(*ROUTES, registry=registry)
    async def route_changed(namespace: str | None, name: str, **_: Any) -> None:
        routes.loop.pokes.poke((namespace or "", name))
        loop.pokes.poke((namespace or "", name))  # a model of that name may have it now, or no more

    @kopf.daemon(*ROUTES, registry=registry, cancellation_timeout=5)
    async def follow(body: kopf.Body, **indices: Any) -> None:
        _tell(observer, indices)
        routes.children.indices = {"Service": indices["route_services"]}
        await routes.loop.run(lambda: dict(body))


def _route_services(registry: kopf.OperatorRegistry, routes: Routes) -> None:
    resource = KINDS["Service"]
    group, _, version = resource.api_version.rpartition("/")
    where = (group, version, resource.plural)
    ours: dict[str, Any] = {LABEL_MANAGED_BY: OPERATOR, LABEL_ROUTE: kopf.PRESENT}

    @kopf.index(*where, id="route_services", labels=ours, registry=registry)
    async def index(namespace: str | None, labels: Mapping[str, str], body: kopf.Body, **_: Any) -> Any:
        return {(namespace, labels[LABEL_ROUTE]): pack(body)}

    @kopf.on.event(*where, labels={LABEL_MANAGED_BY: OPERATOR}, registry=registry)
    async def service_changed(
        event: kopf.RawEvent, namespace: str | None, name: str, uid: str | None, meta: Mapping[str, Any], **_: Any
    ) -> None:
        label = str((meta.get("labels") or {}).get(LABEL_ROUTE, ""))
        for route in {label, *_owners(meta, "ModelRoute")}:
            if event["type"] == "DELETED" or route != label:
                routes.children.vanished((namespace or "", route), ("Service", name), uid or "")
            routes.loop.pokes.poke((namespace or "", route))


def _boundaries(registry: kopf.OperatorRegistry, observer: Observer, changed: Callable[[], None]) -> None:
    @kopf.index(*BOUNDARIES, id="boundaries", registry=registry)
    async def boundaries(name: str, body: kopf.Body, **_: Any) -> Any:
        return {name: {key: dict(body.get(key) or {}) for key in ("metadata", "spec", "status")}}

    @kopf.on.event(*BOUNDARIES, registry=registry)
    async def boundary_changed(**indices: Any) -> None:
        observer.boundaries = indices["boundaries"]  # there may be no model whose daemon tells
        changed()


def _stays(meta: Mapping[str, Any], **_: Any) -> bool:
    """Whoever waits for its dependents to be deleted is gone: nothing may be opened by its keys any more."""
    return not meta.get("deletionTimestamp")


def _knows_weights(body: Mapping[str, Any], **_: Any) -> bool:
    """A filter, not an answer of None: for that kopf would keep what it has of the model."""
    return bool(((body.get("status") or {}).get("weights") or {}).get("artifact"))


def _tolerates(body: Mapping[str, Any], **_: Any) -> bool:
    """Has the model tolerations of its own?"""
    return bool(((body.get("spec") or {}).get("compute") or {}).get("tolerations"))


def _index(kind: str) -> str:
    return f"children_{kind.lower()}"


def _children(registry: kopf.OperatorRegistry, kind: str, loop: Loop, children: Children) -> None:
    resource = KINDS[kind]
    group, _, version = resource.api_version.rpartition("/")
    where = (group, version, resource.plural)
    ours: dict[str, Any] = {LABEL_MANAGED_BY: OPERATOR, LABEL_MODEL: kopf.PRESENT}

    @kopf.index(*where, id=_index(kind), labels=ours, registry=registry)
    async def index(namespace: str | None, labels: Mapping[str, str], body: kopf.Body, **_: Any) -> Any:
        return {(namespace, labels[LABEL_MODEL]): pack(body)}

    if kind == "Job":

        @kopf.index(*where, id="jobs_by_artifact", labels={**ours, LABEL_ARTIFACT: kopf.PRESENT}, registry=registry)
        async def jobs_by_artifact(namespace: str | None, labels: Mapping[str, str], body: kopf.Body, **_: Any) -> Any:
            return {(namespace, labels[LABEL_ARTIFACT]): {"model": labels[LABEL_MODEL], "ended": _ended(body)}}

    @kopf.on.event(*where, labels={LABEL_MANAGED_BY: OPERATOR}, registry=registry)
    async def changed(
        event: kopf.RawEvent, namespace: str | None, name: str, uid: str | None, meta: Mapping[str, Any], **_: Any
    ) -> None:
        label = str((meta.get("labels") or {}).get(LABEL_MODEL, ""))
        # Of its owner too: a label that was changed by hand names another model, or none.
        for model in {label, *_owners(meta)}:
            if event["type"] == "DELETED" or model != label:
                children.vanished((namespace or "", model), (kind, name), uid or "")
            loop.pokes.poke((namespace or "", model))


def _owners(meta: Mapping[str, Any], kind: str = "SmallModel") -> list[str]:
    return [ref["name"] for ref in meta.get("ownerReferences") or () if ref["kind"] == kind]


def _ended(job: Mapping[str, Any]) -> str:
    """When a Job ended; empty while it runs."""
    conditions = (job.get("status") or {}).get("conditions") or ()
    ends = (c for c in conditions if c["type"] in ("Complete", "Failed") and c["status"] == "True")
    return next((str(c.get("lastTransitionTime", "")) for c in ends), "")
