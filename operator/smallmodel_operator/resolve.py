"""spec + profile -> Resolved: the only place of defaults beyond the CRD. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import ValidationError

from smallmodel_operator.api.conditions import Reason
from smallmodel_operator.api.names import GATEWAY
from smallmodel_operator.api.v1alpha1.access import Access
from smallmodel_operator.api.v1alpha1.checks import Checks
from smallmodel_operator.api.v1alpha1.computeprofile import ComputeProfile
from smallmodel_operator.api.v1alpha1.smallmodel import SmallModel, SmallModelSpec, Source
from smallmodel_operator.core.asked import objective_asked
from smallmodel_operator.core.budget import CostObjective, cost_asked
from smallmodel_operator.core.engine import DEFAULT_CONTEXT_SIZE, LLAMA_CPP, Accelerator, Adapter
from smallmodel_operator.core.external import External, external
from smallmodel_operator.core.facts import Object
from smallmodel_operator.core.outcome import Refused
from smallmodel_operator.core.parse import explain, parsed
from smallmodel_operator.core.scaling import Objective
from smallmodel_operator.core.units import to_cores

DEFAULT_IDLE_SECONDS: Final = 300
DEFAULT_PRIORITY: Final = "Standard"


@dataclass(frozen=True, slots=True)
class Site:
    """What the operator's own installation decides for every model."""

    job_image: str = "smallmodel-operator:0.1.0"
    """Image of the operator itself; inspection and download Jobs run it."""
    cluster_domain: str = "cluster.local"
    cluster_networks: tuple[str, ...] = ()
    """Networks of pods and Services, as CIDRs: no download goes there, unless its source is in the cluster."""
    gateway_namespace: str = "smallmodel-system"
    claim_size: str = "50Gi"
    """Size of the claim `smallmodel-weights` of each namespace that downloads; what exists is never changed."""
    claim_storage_class: str = ""
    """Its storage class; empty: the cluster's default."""
    claim_access_mode: str = "ReadWriteOnce"
    """Its access mode; ReadWriteMany lets replicas run on several nodes."""
    gateway_ca: str = ""
    """PEM bundle clients need to trust the gateway's certificate; empty: plain HTTP, or a public authority."""
    gateway_tls: bool = False
    """The gateway has a certificate: addresses begin with https."""
    ca_config_map: str = ""
    """ConfigMap (in the model's namespace) whose `ca.crt` the download Job trusts; empty: the public authorities."""
    hub: str = "https://huggingface.co"
    """Endpoint that hf:// means: the public one, or a mirror."""
    store: str = ""
    """Endpoint that s3:// means; empty: there is none."""
    store_region: str = "us-east-1"
    """Its region, which is part of what is signed."""
    claim_eviction: str = "WhenFull"
    """Whether unused weights make room in the claim: WhenFull or Never."""
    proxy: str = ""
    """Address that downloads go through; empty: none."""
    no_proxy: str = ""
    """Hosts that are reached without it, as in the environment variable of that name."""
    image_volumes: bool = True
    """Nodes can mount an image; where they cannot, its files are copied into the claim."""

    @property
    def gateway_host(self) -> str:
        """DNS name of the gateway's Service."""
        return f"{GATEWAY}.{self.gateway_namespace}.svc.{self.cluster_domain}"

    def url(self, name: str, namespace: str) -> str:
        """Base URL of a model or route, for an OpenAI client."""
        scheme = "https" if self.gateway_tls else "http"
        return f"{scheme}://{name}.{namespace}.svc.{self.cluster_domain}/v1"


@dataclass(frozen=True, slots=True)
class Quantizing:
    """How types are made that a source does not hold. `limits`: what the user said of the gate, by figure."""

    image: str = ""
    text: str = ""
    """ConfigMap and entry (`NAME/KEY`) with the text it is measured on; empty: the text of this release."""
    limits: Mapping[str, str] = field(default_factory=dict)
    matrix_text: str = ""
    """The same of the text an importance matrix is built on; empty: none is wished."""


@dataclass(frozen=True, slots=True)
class Resolved:
    """One model with every question answered that does not depend on what the cluster looks like now."""

    name: str
    namespace: str
    uid: str
    generation: int
    source: Source
    frozen: Mapping[str, Any]
    """What a source that may move held when it was resolved: `status.source`, empty where there is none."""
    checks: Checks
    accept: tuple[str, ...]
    """Types the weights may be of, best first; empty: whatever the source holds."""
    quantizing: Quantizing
    engine: str
    engine_image: str
    context_size: int
    context_given: bool
    """Written by the user; otherwise it is lowered to what the model was trained for."""
    parallel_slots: int
    args: tuple[str, ...]
    env: tuple[tuple[str, str], ...]
    cpu_request: str
    cpu_limit: str | None
    threads: int
    memory_request: str | None
    """Declared by the user; None: derived from the weights' header."""
    memory_limit: str | None
    accelerator: Accelerator | None
    memory_bandwidth: int | None
    """Bytes a second one replica reads at most; None: not known."""
    runtime_class: str
    adapters: tuple[Adapter, ...]
    """Sorted by name."""
    node_selector: Mapping[str, str]
    tolerations: tuple[Mapping[str, Any], ...]
    replicas: int
    suspended: bool
    may_sleep: bool
    idle_seconds: float
    priority: str
    """Who gets the room first when the pool is full: Critical, Standard or Batch."""
    external: External | None  # None: not in mode External
    objective: Objective | None
    """What replicas follow; None: `replicas` says how many."""
    cost: CostObjective | None  # None: not asked
    access: Access
    site: Site

    @property
    def off(self) -> bool:
        """Switched off by its user: never woken, no pods."""
        return self.replicas == 0

    @property
    def url(self) -> str:
        """Base URL for an OpenAI client."""
        return self.site.url(self.name, self.namespace)


def parse(body: Object) -> SmallModel:
    """A SmallModel as a typed value.

    Raises:
        Refused: this release's schema and rules would not let it in.
    """
    return parsed(SmallModel, body)


def resolve(body: Object, model: SmallModel, profile: Object | None, site: Site) -> Resolved:
    """Combine what the user and the platform team declared.

    Raises:
        Refused: the profile is missing, does not fit its schema, or has no image for the engine.
    """
    spec, meta = model.spec, body["metadata"]
    hardware = _profile(spec, profile)
    cpu = spec.compute.resources.requests.cpu or spec.compute.resources.limits.cpu or hardware.per_replica.cpu
    return Resolved(
        name=meta["name"],
        namespace=meta["namespace"],
        uid=meta["uid"],
        generation=meta.get("generation", 0),
        source=spec.source,
        frozen=(body.get("status") or {}).get("source") or {},
        checks=spec.checks,
        accept=tuple(spec.quantization.accept) if spec.quantization else (),
        quantizing=_quantizing(spec, hardware),
        engine=spec.engine.name,
        engine_image=spec.engine.image or _image(spec, hardware),
        context_size=spec.engine.context_size or DEFAULT_CONTEXT_SIZE,
        context_given=spec.engine.context_size is not None,
        parallel_slots=spec.engine.parallel_slots,
        args=tuple(spec.engine.args),
        env=tuple((e.name, e.value) for e in spec.engine.env),
        cpu_request=cpu,
        cpu_limit=spec.compute.resources.limits.cpu,
        threads=to_cores(spec.compute.resources.limits.cpu or cpu),
        memory_request=_memory_request(spec, hardware),
        memory_limit=spec.compute.resources.limits.memory or hardware.per_replica.memory_limit,
        accelerator=_accelerator(spec, hardware),
        memory_bandwidth=hardware.memory_bandwidth_bytes_per_second,
        runtime_class=hardware.runtime_class_name or "",
        adapters=tuple(
            Adapter(a.name, a.source.uri.removeprefix("oci://"), a.source.path)
            for a in sorted(spec.adapters, key=lambda a: a.name)
        ),
        node_selector={**hardware.node_selector, **spec.compute.node_selector},
        tolerations=tuple(
            toleration.model_dump(by_alias=True, exclude_defaults=True)
            for toleration in (*hardware.tolerations, *spec.compute.tolerations)
        ),
        replicas=0 if spec.suspend else spec.replicas,
        suspended=spec.suspend,
        may_sleep=spec.scaling.min_replicas == 0,
        idle_seconds=float(spec.scaling.idle_seconds or DEFAULT_IDLE_SECONDS),
        priority=spec.scaling.priority or DEFAULT_PRIORITY,
        external=external(body),
        objective=objective_asked(spec.scaling),
        cost=cost_asked(spec.scaling),
        access=spec.access,
        site=site,
    )


def _profile(spec: SmallModelSpec, profile: Object | None) -> Any:
    name = spec.compute.profile_ref.name
    if profile is None:
        raise Refused(
            Reason.PROFILE_NOT_FOUND,
            f"ComputeProfile {name!r} does not exist. Create it (`kubectl get computeprofiles` lists those there are) "
            "or name another in `spec.compute.profileRef.name`.",
        )
    try:
        return ComputeProfile.model_validate({"spec": profile.get("spec") or {}}).spec
    except ValidationError as error:
        raise Refused(Reason.INVALID_SPEC, f"ComputeProfile {name!r}: {explain(error)}.") from error


def _image(spec: SmallModelSpec, hardware: Any) -> str:
    for engine in hardware.engines:
        if engine.name == spec.engine.name:
            return str(engine.image)
    raise Refused(
        Reason.ENGINE_NOT_IN_PROFILE,
        f"ComputeProfile {spec.compute.profile_ref.name!r} has no image for engine {spec.engine.name!r}. "
        "Add it to the profile's `spec.engines` or set `spec.engine.image`.",
    )


def _quantizing(spec: SmallModelSpec, hardware: Any) -> Quantizing:
    wish = spec.quantization
    if wish is None:
        return Quantizing()
    said = {
        "mean_divergence": wish.gate.max_mean_divergence,
        "tail_divergence": wish.gate.max_tail_divergence,
        "same_top_percent": wish.gate.min_same_top_percent,
        "perplexity_ratio": wish.gate.max_perplexity_ratio,
    }
    text = wish.gate.text_config_map_ref
    matrix = wish.importance_matrix.text_config_map_ref if wish.importance_matrix else None
    return Quantizing(
        image=wish.image or (hardware.quantizer.image if hardware.quantizer else ""),
        text=f"{text.name}/{text.key}" if text else "",
        limits={name: number for name, number in said.items() if number is not None},
        matrix_text=f"{matrix.name}/{matrix.key}" if matrix else "",
    )


def _accelerator(spec: SmallModelSpec, hardware: Any) -> Accelerator | None:
    found = hardware.accelerator
    if found is not None:
        return Accelerator(found.resource_name, found.count, found.memory_bytes)
    if spec.engine.name == LLAMA_CPP:
        return None
    raise Refused(
        Reason.ENGINE_NOT_IN_PROFILE,
        f"Engine {spec.engine.name!r} runs on accelerators, and ComputeProfile {spec.compute.profile_ref.name!r} has "
        "no `spec.accelerator`. Name a profile that has one in `spec.compute.profileRef.name`, or take LlamaCpp.",
    )


def _memory_request(spec: SmallModelSpec, hardware: Any) -> str | None:
    """Main memory, not the accelerators'. What VLLM and TGI take of it no header tells: it has to be declared."""
    declared: str | None = spec.compute.resources.requests.memory
    if declared or spec.engine.name == LLAMA_CPP:
        return declared
    limit: str | None = spec.compute.resources.limits.memory or hardware.per_replica.memory_limit
    if limit:
        return limit
    raise Refused(
        Reason.INVALID_SPEC,
        f"Main memory of engine {spec.engine.name!r} cannot be derived from the weights. Set "
        "`spec.compute.resources.requests.memory` (or `perReplica.memoryLimit` of the ComputeProfile).",
    )
