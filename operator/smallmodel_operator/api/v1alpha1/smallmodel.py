"""SmallModel: a small language model, declared by its user and served inside the cluster."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from smallmodel_operator.api.v1alpha1.access import Access
from smallmodel_operator.api.v1alpha1.common import (
    ATOMIC,
    ApiModel,
    ImageReference,
    NameReference,
    NodeSelector,
    QuantityText,
    StatusCondition,
    Tolerations,
    list_map,
)


class Source(ApiModel):
    """Where the weights come from. One immutable set: a digest, a file with its SHA-256, or a path in a claim."""

    uri: str = Field(
        min_length=7,
        max_length=1024,
        description=(
            "`oci://registry/repository@sha256:…` (an image or artifact mounted as an image volume), "
            "`pvc://claim/path` (a path inside a PersistentVolumeClaim of this namespace), or "
            "`https://host/model.gguf` (one GGUF file, downloaded once; needs `sha256`)."
        ),
    )
    path: str = Field(
        default="",
        max_length=512,
        description="The GGUF file inside the image or claim; needed when it holds not exactly one `*.gguf`.",
    )
    sha256: str = Field(
        default="",
        max_length=64,
        pattern=r"^([0-9a-f]{64})?$",
        description=(
            "SHA-256 of the file in hex. Required with https://. With pvc:// it is checked when the weights are "
            "inspected, once for each claim; not at every start of a pod."
        ),
    )


class EnvironmentVariable(ApiModel):
    """One environment variable of the engine. Values are plain text; secrets do not belong here."""

    name: str = Field(min_length=1, max_length=128, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", description="Name.")
    value: str = Field(default="", max_length=4096, description="Value.")


class Engine(ApiModel):
    """The server inside the pod."""

    name: Literal["LlamaCpp"] = Field(default="LlamaCpp", description="The engine.")
    image: ImageReference | None = Field(
        default=None, description="Image of the engine. Unset takes the profile's, which is the usual case."
    )
    context_size: int | None = Field(
        default=None,
        ge=128,
        le=1048576,
        description=(
            "Tokens of context one request may use (prompt and answer). Unset: 4096, or the context the model was "
            "trained for where that is less. More than it was trained for is refused."
        ),
    )
    parallel_slots: int = Field(
        default=4, ge=1, le=256, description="Requests one replica works on at once; each slot has its own context."
    )
    args: list[Annotated[str, StringConstraints(min_length=1, max_length=512)]] = Field(
        default_factory=list,
        max_length=64,
        json_schema_extra=ATOMIC,
        description=(
            "Further arguments of the engine. Those the operator sets and those that open the server are refused."
        ),
    )
    env: list[EnvironmentVariable] = Field(
        default_factory=list,
        max_length=64,
        json_schema_extra=list_map("name"),
        description="Environment variables of the engine.",
    )


class ResourceAmounts(ApiModel):
    """CPU and memory."""

    cpu: QuantityText | None = Field(default=None, description="CPU, like `2` or `500m`.")
    memory: QuantityText | None = Field(default=None, description="Memory, like `2Gi`.")


class Resources(ApiModel):
    """What one replica asks for and may use at most."""

    requests: ResourceAmounts = Field(
        default_factory=ResourceAmounts,
        description="Reserved for a replica. Memory unset is derived from the weights' own header.",
    )
    limits: ResourceAmounts = Field(
        default_factory=ResourceAmounts,
        description="Never exceeded by a replica. Memory unset is the profile's `perReplica.memoryLimit`.",
    )


class Compute(ApiModel):
    """Where a replica runs and with how much."""

    profile_ref: NameReference = Field(
        default=NameReference(name="default"),
        description="The ComputeProfile (cluster-scoped) this model runs on.",
    )
    resources: Resources = Field(default_factory=Resources, description="Overrides of what the profile gives.")
    node_selector: NodeSelector = Field(default_factory=dict)
    tolerations: Tolerations = Field(default_factory=list)


class ColdStart(ApiModel):
    """How long and how many requests wait at the gateway while no replica answers (asleep, or being replaced)."""

    max_wait_seconds: int = Field(
        default=120, ge=1, le=900, description="Longest wait of one request; then it gets 503 with Retry-After."
    )
    max_queued_requests: int = Field(
        default=100, ge=0, le=4096, description="Most requests that wait, over all gateways; more get 503 at once."
    )


class Scaling(ApiModel):
    """Who decides how many replicas there are."""

    mode: Literal["Manual"] = Field(
        default="Manual", description="`Manual`: `spec.replicas`, also through `kubectl scale`."
    )
    min_replicas: int | None = Field(
        default=None,
        ge=0,
        le=100,
        description=(
            "0 lets the model sleep after `idleSeconds` without a request; the next request wakes it and is held "
            "meanwhile. In mode Manual nothing else is allowed: awake, the count is `spec.replicas`."
        ),
    )
    idle_seconds: int | None = Field(
        default=None, ge=1, le=86400, description="Seconds without a request until sleep; 300 when unset."
    )
    cold_start: ColdStart = Field(default_factory=ColdStart, description="What requests wait for, and how long.")


class SmallModelSpec(ApiModel):
    """What the user declares."""

    source: Source = Field(description="Where the weights come from.")
    engine: Engine = Field(default_factory=Engine, description="The server inside the pod.")
    compute: Compute = Field(default_factory=Compute, description="Where a replica runs and with how much.")
    scaling: Scaling = Field(default_factory=Scaling, description="Who decides how many replicas there are.")
    access: Access = Field(default_factory=Access, description="Who may call the model through the gateway.")
    replicas: int = Field(default=1, ge=0, le=100, description="Number of replicas. 0 switches the model off.")
    suspend: bool = Field(
        default=False, description="Switches the model off without forgetting `replicas`; never woken meanwhile."
    )


class Endpoint(ApiModel):
    """How an OpenAI client reaches the model."""

    url: str = Field(max_length=512, description="Base URL for an OpenAI client.")
    model: str = Field(max_length=64, description="Value of `model` in a request.")


class WeightsStatus(ApiModel):
    """What the weights are, read from their own header."""

    artifact: str = Field(default="", max_length=128, description="Name of the immutable set of files.")
    digest: str = Field(default="", max_length=128, description="Digest of the artifact, where it has one.")
    file: str = Field(default="", max_length=512, description="GGUF file inside the volume.")
    file_bytes: int = Field(default=0, ge=0, description="Size of the file in bytes.")
    tensor_bytes: int = Field(default=0, ge=0, description="Size of all tensors as stored, in bytes.")
    format: str = Field(default="", max_length=32, description="File format.")
    quantization: str = Field(default="", max_length=32, description="Type of most of the tensors.")
    parameters: int = Field(default=0, ge=0, description="Number of parameters.")
    architecture: str = Field(default="", max_length=64, description="Architecture named in the header.")
    context_length: int = Field(default=0, ge=0, description="Context the model was trained for, in tokens.")
    layers: int = Field(default=0, ge=0, description="Number of layers.")
    embedding: int = Field(default=0, ge=0, description="Width of an embedding.")
    heads: int = Field(default=0, ge=0, description="Attention heads.")
    heads_kv: int = Field(default=0, ge=0, description="Attention heads of keys and values.")
    key_length: int = Field(default=0, ge=0, description="Width of one head's key.")
    value_length: int = Field(default=0, ge=0, description="Width of one head's value.")
    vocabulary: int = Field(default=0, ge=0, description="Number of tokens in the vocabulary.")
    feed_forward: int = Field(default=0, ge=0, description="Width of the feed-forward layer.")
    experts: int = Field(default=0, ge=0, description="Number of experts; 0 for a dense model.")
    token_embedding_bytes: int = Field(default=0, ge=0, description="Size of the token embedding tensor in bytes.")
    active_feed_forward: int = Field(
        default=0, ge=0, description="Width of all feed-forward networks a token passes in one layer; 0 if it is one."
    )
    repacked_bytes: int = Field(
        default=0, ge=0, description="Size of the tensors that the engine copies into another layout, in bytes."
    )
    tokenizer_bytes: int = Field(default=0, ge=0, description="Memory of the engine's tokenizer tables, in bytes.")
    sliding_window: int = Field(default=0, ge=0, description="Tokens that a layer of sliding-window attention keeps.")
    sliding_layers: int = Field(default=0, ge=0, description="Number of such layers.")
    claim: str = Field(default="", max_length=64, description="uid of the claim the file lies in.")
    chat_template: str = Field(
        default="", max_length=64, description="SHA-256 of the chat template in the header; empty when not known."
    )
    licence: str = Field(default="", max_length=256, description="Licence named in the header.")
    name: str = Field(default="", max_length=256, description="Name in the header.")


class AccessStatus(ApiModel):
    """The published credential."""

    secret: str = Field(default="", max_length=64, description="Secret an app mounts with `envFrom`.")
    key_generation: int = Field(
        default=0, ge=0, description="Generation of the key in it, a few seconds after it moved."
    )
    previous_key_generation: int = Field(default=0, ge=0, description="Generation of the key in it before that.")
    key_rotated_at: str = Field(
        default="",
        max_length=32,
        description="When the generation last moved; the key before works until `overlapHours` later.",
    )


class ColdStartStatus(ApiModel):
    """A usual wake, the middle one of those the gateways remember, in milliseconds."""

    total_milliseconds: int = Field(ge=0, description="From asleep to answering.")
    schedule_milliseconds: int = Field(ge=0, description="Until the pod has a node and an address.")
    container_milliseconds: int = Field(ge=0, description="Then until its container takes connections.")
    load_milliseconds: int = Field(ge=0, description="Then until the engine has loaded the weights.")


class ScalingStatus(ApiModel):
    """How many replicas are wanted now."""

    desired: int = Field(default=0, ge=0, description="Replicas wanted now.")
    why: str = Field(default="", max_length=512, description="Why, in one sentence.")
    cold_start: ColdStartStatus | None = Field(default=None, description="How long a wake takes, and where it goes.")


class MemoryStatus(ApiModel):
    """Memory of one replica, in bytes."""

    estimated_bytes: int = Field(
        default=0,
        ge=0,
        description="Peak of the engine's resident memory, estimated from the weights' header; 0 when unknown.",
    )
    requested_bytes: int = Field(default=0, ge=0, description="Requested for the pod.")
    limit_bytes: int = Field(default=0, ge=0, description="Limit of the pod; 0 when there is none.")


class SmallModelStatus(ApiModel):
    """What the operator observed. Nothing here is read back as a wish."""

    observed_generation: int = Field(default=0, ge=0, description="metadata.generation this status was decided on.")
    conditions: list[StatusCondition] = Field(
        default_factory=list, max_length=32, json_schema_extra=list_map("type"), description="kstatus and concerns."
    )
    replicas: int = Field(default=0, ge=0, description="Replicas that exist.")
    ready_replicas: int = Field(default=0, ge=0, description="Replicas that answer.")
    selector: str = Field(
        default="", max_length=512, description="Label selector of the pods, for the scale subresource."
    )
    endpoint: Endpoint | None = Field(default=None, description="How an OpenAI client reaches the model.")
    weights: WeightsStatus | None = Field(default=None, description="What the weights are.")
    memory: MemoryStatus | None = Field(default=None, description="Memory of one replica.")
    access: AccessStatus | None = Field(default=None, description="The published credential.")
    scaling: ScalingStatus | None = Field(default=None, description="How many replicas are wanted now.")
    engine_revision: int = Field(
        default=0, ge=0, description="Recorded builder of the pod template; it moves only with the user's spec."
    )
    engine_image: str = Field(default="", max_length=512, description="Image of the engine in the pod template.")


class SmallModel(ApiModel):
    """A small language model served inside the cluster, behind an OpenAI endpoint."""

    spec: SmallModelSpec = Field(description="What the user declares.")
    status: SmallModelStatus | None = Field(default=None, description="What the operator observed.")
