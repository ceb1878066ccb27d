"""What a gateway knows when it writes its configuration: values only, made from Kubernetes objects. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from smallmodel_operator.core.engine import DEFAULT_CONTEXT_SIZE
from smallmodel_operator.core.keys import Identity
from smallmodel_operator.core.scaling import UNBOUNDED, Bounds
from smallmodel_operator.gateway.paths import lacks
from smallmodel_operator.gateway.pods import found_by_kubernetes, is_pod

if TYPE_CHECKING:
    from smallmodel_operator.gateway.routed import Route

Object = Mapping[str, Any]

WAY_OUT: Final = "egress"
"""The egress's cluster; no model's target is a single word."""
DEFAULT_MAX_BODY_BYTES: Final = 8 * 1024 * 1024
LARGEST_BODY_BYTES: Final = 32 * 1024 * 1024
DEFAULT_MAX_WAIT_SECONDS: Final = 120
DEFAULT_MAX_QUEUED: Final = 100


@dataclass(frozen=True, slots=True)
class Access:
    """Who may call a model, as identities (`ns:…`, `sa:…`, `key:…`), and how much."""

    allow: frozenset[str]
    requests_per_minute: int | None = None
    max_body_bytes: int = DEFAULT_MAX_BODY_BYTES


@dataclass(frozen=True, slots=True)
class Model:
    """One SmallModel as the gateway sees it. Times in seconds."""

    namespace: str
    name: str
    uid: str
    access: Access
    created: str = ""
    digest: str = ""
    """Digest of the weights, or the artifact's name; empty until it is known."""
    engine: str = "LlamaCpp"
    lacks: tuple[str, ...] = ()
    """Paths its engine does not serve."""
    engine_image: str = ""
    """Image in its pods' template, which the builder `template_revision` made; empty until it is known."""
    template_revision: int = 0
    chat_template: str = ""
    """SHA-256 of the chat template in the weights; empty when not known, or when an argument gives another one."""
    generation: int = 0
    request_key: int = 0
    """Generation of the key the HMACs of its requests are made with; 0: none are made."""
    off: bool = False
    """Suspended or scaled to 0 by its user: never woken."""
    stopped: bool = False
    """An administrator has stopped inference there: refused and never woken."""
    spent: bool = False
    """Its month's budget is used up: refused and never woken."""
    stalled: str = ""
    """Why it cannot start until somebody acts, in one word, for callers of other namespaces read it; empty while it
    can, or while a replica answers all the same."""
    full: bool = False
    """The nodes have no room for a replica of it: other models hold it."""
    external: bool = False
    """Somebody else scales it: requests are held at 0, and nobody is woken for them."""
    may_sleep: bool = False
    replicas: int = 1
    cold_start: float = 0.0
    """Seconds a wake usually takes, as all gateways saw it; 0 while unknown."""
    max_wait: float = DEFAULT_MAX_WAIT_SECONDS
    max_queued: int = DEFAULT_MAX_QUEUED
    lora: bool = False
    """It has adapters, or may still have some: every request has to say which, or that it wants none."""
    bounds: Bounds = UNBOUNDED
    """Within which an answer is good, where replicas follow an objective; nothing is asked where they do not."""
    adapters: tuple[tuple[str, int], ...] = ()
    """Names and numbers of those every pod has, sorted."""
    context_tokens: int = DEFAULT_CONTEXT_SIZE
    """Most that one request may have; what its weights were trained for may be less."""

    @property
    def target(self) -> str:
        """`<namespace>/<name>`: name of its cluster, its endpoints and its route."""
        return f"{self.namespace}/{self.name}"

    @property
    def configured(self) -> "Model":
        """Only what a configuration file tells of it: where this is the same no file is different."""
        stalled = "Stalled" if self.stalled else ""
        plain: dict[str, Any] = {"may_sleep": False, "replicas": 1, "cold_start": 0.0, "max_queued": 0, "full": False}
        plain |= {"external": False, "created": "", "context_tokens": 0}
        return replace(self, stalled=stalled, generation=0, bounds=UNBOUNDED, **plain)

    @classmethod
    def of(cls, body: Object) -> "Model":
        """Read a SmallModel; what an older object lacks has the CRD's default."""
        meta, spec, status = body["metadata"], body.get("spec", {}), body.get("status", {})
        scaling, weights = spec.get("scaling", {}), status.get("weights") or {}
        cold = scaling.get("coldStart", {})
        replicas, external = int(spec.get("replicas", 1)), scaling.get("mode") == "External"
        return cls(
            namespace=meta["namespace"],
            name=meta["name"],
            uid=meta["uid"],
            created=str(meta.get("creationTimestamp") or ""),
            access=access_of(meta["namespace"], meta["name"], spec.get("access", {})),
            digest=str(weights.get("digest") or weights.get("artifact") or ""),
            engine=spec.get("engine", {}).get("name", "LlamaCpp"),
            lacks=lacks(spec.get("engine", {})),
            engine_image=str(status.get("engineImage") or ""),
            template_revision=int(status.get("engineRevision") or 0),
            chat_template=_chat_template(spec.get("engine", {}), weights),
            generation=int(meta.get("generation") or 0),
            request_key=_request_key(spec.get("audit", {})),
            off=bool(spec.get("suspend", False)) or (replicas == 0 and not external),
            external=external,
            spent=_spent(status),
            stalled=_stalled(meta, status),
            full=_full(status),
            may_sleep=scaling.get("minReplicas") == 0,
            replicas=replicas,
            cold_start=(status.get("scaling") or {}).get("coldStart", {}).get("totalMilliseconds", 0) / 1000,
            max_wait=float(cold.get("maxWaitSeconds", DEFAULT_MAX_WAIT_SECONDS)),
            max_queued=int(cold.get("maxQueuedRequests", DEFAULT_MAX_QUEUED)),
            bounds=_bounds(scaling),
            lora=bool(spec.get("adapters") or status.get("adapters")),
            adapters=_adapters(spec, status),
            context_tokens=int(spec.get("engine", {}).get("contextSize") or DEFAULT_CONTEXT_SIZE),
        )


def _bounds(scaling: Object) -> Bounds:
    latency = (scaling.get("objectives") or {}).get("latency") or {}
    if scaling.get("mode") != "Objective":
        return UNBOUNDED
    asked = ("timeToFirstTokenMilliseconds", "interTokenMilliseconds", "endToEndMilliseconds")
    return Bounds(*(float(latency.get(name) or 0) / 1000 for name in asked))


def _adapters(spec: Object, status: Object) -> tuple[tuple[str, int], ...]:
    """What is wished for and loaded: what left the wish is gone at once."""
    wanted = {a["name"] for a in spec.get("adapters") or ()}
    loaded = (a for a in status.get("adapters") or () if a.get("ready"))
    return tuple(sorted((a["name"], int(a.get("id", 0))) for a in loaded if a["name"] in wanted))


def _spent(status: Object) -> bool:
    """The operator's last word, of whichever generation: a budget is not opened by an edit it has not judged."""
    ready: Object = next((c for c in status.get("conditions") or () if c["type"] == "Ready"), {})
    return (ready.get("status"), ready.get("reason")) == ("False", "BudgetExhausted")


def _stalled(meta: Object, status: Object) -> str:
    """The operator's word on this very generation: after an edit nobody knows yet.

    Not every Stalled keeps a model from starting: it does where the same is why the model is not Ready.
    """
    if status.get("observedGeneration") != meta.get("generation") or status.get("readyReplicas"):
        return ""
    conditions = {c["type"]: c for c in status.get("conditions") or ()}
    condition, ready = conditions.get("Stalled", {}), conditions.get("Ready", {})
    if condition.get("status") != "True" or (ready.get("status"), ready.get("reason")) != (
        "False",
        condition.get("reason"),
    ):
        return ""
    return str(condition.get("reason") or "Stalled")


def _full(status: Object) -> bool:
    conditions = {c["type"]: c for c in status.get("conditions") or ()}
    active = conditions.get("ScalingActive", {})
    return (active.get("status"), active.get("reason")) == ("False", "PoolFull")


def _chat_template(engine: Object, weights: Object) -> str:
    given = any(str(a).replace("_", "-").startswith("--chat-template") for a in engine.get("args") or ())
    return "" if given else str(weights.get("chatTemplate") or "")


def _request_key(audit: Object) -> int:
    return int(audit.get("keyGeneration", 1)) if audit.get("requestHMAC") == "Enabled" else 0


def access_of(namespace: str, name: str, access: Mapping[str, Any]) -> Access:
    """Read `spec.access` of a model or route."""
    limits = access.get("limits", {})
    return Access(
        allow=frozenset(
            {
                f"ns:{namespace}",
                *(f"ns:{other}" for other in access.get("namespaces", ())),
                *(f"sa:{account['namespace']}/{account['name']}" for account in access.get("serviceAccounts", ())),
                *(f"key:{namespace}/{name}/{key['name']}" for key in access.get("apiKeys", ())),
            }
        ),
        requests_per_minute=limits.get("requestsPerMinute"),
        max_body_bytes=min(int(limits.get("maxBodyBytes", DEFAULT_MAX_BODY_BYTES)), LARGEST_BODY_BYTES),
    )


@dataclass(frozen=True, slots=True, order=True)
class Endpoint:
    """One pod of a model, from an EndpointSlice."""

    address: str
    port: int
    pod: str = ""
    ready: bool = False
    terminating: bool = False


def endpoints_of(slices: Iterable[Object]) -> tuple[Endpoint, ...]:
    """The pods in the EndpointSlices of one model, each address once, sorted. What is no pod is left out."""
    found: dict[str, Endpoint] = {}
    for part in slices:
        port = next((p["port"] for p in part.get("ports") or () if p.get("port")), None)
        if not port or not found_by_kubernetes(part):
            continue
        for item in part.get("endpoints") or ():
            if not is_pod(item, part["metadata"]["namespace"]):
                continue
            conditions = item.get("conditions", {})
            for address in item["addresses"]:
                found[address] = Endpoint(
                    address=address,
                    port=int(port),
                    pod=item.get("targetRef", {}).get("name", ""),
                    ready=conditions.get("ready") is True,
                    terminating=conditions.get("terminating") is True,
                )
    return tuple(sorted(found.values()))


@dataclass(frozen=True, slots=True)
class Issuer:
    """Who signs ServiceAccount tokens: `issuer` as in the token, `keys` the JWKS as JSON text."""

    issuer: str
    keys: str


@dataclass(frozen=True, slots=True)
class State:
    """Everything a gateway's configuration is made from.

    `endpoints` are the addresses requests for a target may go to now; a target without any is held by the activators.
    `peers` are the other gateways' addresses. `engine_master` makes the engines' keys.
    """

    models: Mapping[str, Model] = field(default_factory=dict)
    endpoints: Mapping[str, tuple[Endpoint, ...]] = field(default_factory=dict)
    keys: Mapping[str, Identity] = field(default_factory=dict)
    """SHA-256 (hex) of each key, and whose it is."""
    engine_master: bytes = b""
    issuer: Issuer | None = None
    peers: tuple[str, ...] = ()
    cluster_domain: str = "cluster.local"
    tls: bool = False
    routes: Mapping[str, "Route"] = field(default_factory=dict)
    """ModelRoutes by `<namespace>/<name>`; no model has the same."""
    egress: tuple["Endpoint", ...] = ()
    """Where the egress is; empty: nothing leaves."""

    @property
    def leads_outside(self) -> bool:
        """Has some route a target outside?"""
        return any(route.outside for route in self.routes.values())

    @property
    def judges(self) -> bool:
        """Has some route answers that are judged?"""
        return any(route.judges for route in self.routes.values())

    @property
    def clusters(self) -> tuple[str, ...]:
        """Everything that has endpoints of its own: models, and the egress where a route needs it; sorted."""
        return tuple(sorted([*self.models, *([WAY_OUT] if self.leads_outside else [])]))
