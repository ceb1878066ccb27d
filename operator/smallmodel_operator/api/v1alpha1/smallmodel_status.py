"""What the operator reports of a SmallModel."""

from typing import Annotated

from pydantic import Field, StringConstraints

from smallmodel_operator.api.v1alpha1.adapters import AdapterStatus
from smallmodel_operator.api.v1alpha1.common import (
    ATOMIC,
    ApiModel,
    Standing,
    list_map,
)
from smallmodel_operator.api.v1alpha1.cost_status import CostStatus
from smallmodel_operator.api.v1alpha1.external_status import ExternalStatus
from smallmodel_operator.api.v1alpha1.quantization import QuantizationStatus
from smallmodel_operator.api.v1alpha1.source_status import DownloadStatus, SourceStatus
from smallmodel_operator.api.v1alpha1.weights_status import WeightsStatus

PromptId = Annotated[str, StringConstraints(min_length=1, max_length=63)]


class Endpoint(ApiModel):
    """How an OpenAI client reaches the model."""

    url: str = Field(max_length=512, description="Base URL for an OpenAI client.")
    model: str = Field(max_length=64, description="Value of `model` in a request.")


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


class ScalingDecision(ApiModel):
    """One change of the number of replicas."""

    at: str = Field(max_length=32, description="When.")
    replicas: int = Field(ge=0, description="Replicas wanted from then on.")
    why: str = Field(default="", max_length=512, description="Why, with the numbers of that moment.")


class ScalingStatus(ApiModel):
    """How many replicas are wanted now."""

    desired: int = Field(default=0, ge=0, description="Replicas wanted now.")
    why: str = Field(default="", max_length=512, description="Why, in one sentence.")
    decisions: list[ScalingDecision] = Field(
        default_factory=list,
        max_length=5,
        json_schema_extra=ATOMIC,
        description="Mode Objective: the last changes, newest last.",
    )
    external: ExternalStatus | None = Field(default=None, description="Mode External: whether it counts.")
    cold_start: ColdStartStatus | None = Field(default=None, description="How long a wake takes, and where it goes.")


class AdapterMemory(ApiModel):
    """Memory of one LoRA adapter."""

    name: str = Field(max_length=32, description="Its name.")
    bytes: int = Field(default=0, ge=0, description="Size of its tensors, which the engine reads into memory.")


class MemoryStatus(ApiModel):
    """Memory of one replica, in bytes."""

    estimated_bytes: int = Field(
        default=0,
        ge=0,
        description="Peak of the engine's resident memory, estimated from the weights' header; 0 when unknown.",
    )
    requested_bytes: int = Field(default=0, ge=0, description="Requested for the pod.")
    limit_bytes: int = Field(default=0, ge=0, description="Limit of the pod; 0 when there is none.")
    accelerator_bytes: int = Field(
        default=0, ge=0, description="Needed on the accelerators of a replica, as estimated; 0 where there are none."
    )
    adapters: list[AdapterMemory] = Field(
        default_factory=list,
        max_length=64,
        json_schema_extra=list_map("name"),
        description="Of the adapters that the estimate counts; none where the request is declared.",
    )
    adapters_of: str = Field(default="", max_length=64, description="Hash of the adapters these are.")


class DecodeSpeed(ApiModel):
    """How fast a replica writes for so many requests at once."""

    concurrency: int = Field(ge=1, description="Requests at once.")
    tokens_per_second: str = Field(max_length=16, description="Tokens a second of all of them together.")


class CapacityStatus(ApiModel):
    """How fast a replica is: measured once for each version of it, when it first answers."""

    version: str = Field(default="", max_length=64, description="Which version was measured.")
    prefill_tokens_per_second: str = Field(
        default="", max_length=16, description="Tokens of a prompt it reads a second, for one request alone."
    )
    decode_tokens_per_second: list[DecodeSpeed] = Field(
        default_factory=list,
        max_length=32,
        json_schema_extra=list_map("concurrency"),
        description="Tokens it writes a second, by the number of requests at once, up to `parallelSlots`; none where "
        "answers are too short to measure.",
    )
    time_to_first_token_milliseconds: int = Field(
        default=0, ge=0, description="Until the first token of an answer to about 64 tokens, alone, past the gateway."
    )
    cold_start_seconds: int = Field(
        default=0, ge=0, description="From asleep to answering as gateways saw it, else from the pod's creation."
    )
    useful_concurrency: int = Field(
        default=0, ge=0, description="Fewest requests at once that reach 95 % of the most it writes."
    )


class GoldenStatus(ApiModel):
    """How a version answers the golden prompts. Ids only; no text of a prompt or an answer."""

    version: str = Field(default="", max_length=64, description="Which version was asked.")
    prompts: str = Field(default="", max_length=64, description="Digest of the golden prompts it was asked.")
    items: int = Field(default=0, ge=0, description="How many there are.")
    failed: list[PromptId] = Field(
        default_factory=list,
        max_length=256,
        json_schema_extra=ATOMIC,
        description="Those that are not answered as expected.",
    )
    strict_percent: int | None = Field(
        default=None,
        ge=0,
        le=100,
        description="Prompts that get the same answer twice, asked alone at temperature 0. Less than 100 is a fault.",
    )
    under_load_percent: int | None = Field(
        default=None, ge=0, le=100, description="Prompts that get that answer while all slots are busy, too."
    )


class RunningStatus(GoldenStatus):
    """The version that serves, as last asked."""

    accepted: list[PromptId] = Field(
        default_factory=list,
        max_length=256,
        json_schema_extra=ATOMIC,
        description="Those it did not answer as expected when it was let in.",
    )


class CandidateStatus(GoldenStatus):
    """A new version that was asked and may not serve."""

    id: str = Field(
        default="",
        max_length=8,
        description="In `spec.checks.golden.release` it lets the version serve, if Inconclusive.",
    )
    verdict: str = Field(default="", max_length=16, description="Fail or Inconclusive.")
    lost: list[PromptId] = Field(
        default_factory=list,
        max_length=256,
        json_schema_extra=ATOMIC,
        description="Those the version that serves answers as expected and this one does not.",
    )
    gained: list[PromptId] = Field(
        default_factory=list, max_length=256, json_schema_extra=ATOMIC, description="The other way round."
    )


class QualityStatus(ApiModel):
    """What golden prompts say of the versions."""

    running: RunningStatus | None = Field(default=None, description="The version that serves, as last asked.")
    candidate: CandidateStatus | None = Field(default=None, description="A new version that may not serve.")


class SmallModelStatus(Standing):
    """What the operator observed. Nothing here is read back as a wish."""

    replicas: int = Field(default=0, ge=0, description="Replicas that exist.")
    ready_replicas: int = Field(default=0, ge=0, description="Replicas that answer.")
    selector: str = Field(
        default="", max_length=512, description="Label selector of the pods, for the scale subresource."
    )
    endpoint: Endpoint | None = Field(default=None, description="How an OpenAI client reaches the model.")
    source: SourceStatus | None = Field(
        default=None, description="What `spec.source` is frozen to; only with `allowMutable`."
    )
    weights: WeightsStatus | None = Field(default=None, description="What the weights are.")
    download: DownloadStatus | None = Field(default=None, description="How far the download of the weights is.")
    quantization: QuantizationStatus | None = Field(default=None, description="The type that was chosen.")
    memory: MemoryStatus | None = Field(default=None, description="Memory of one replica.")
    access: AccessStatus | None = Field(default=None, description="The published credential.")
    capacity: CapacityStatus | None = Field(default=None, description="How fast a replica is, as measured.")
    quality: QualityStatus | None = Field(default=None, description="How versions answer the golden prompts.")
    cost: CostStatus | None = Field(default=None, description="What the model has cost this month.")
    scaling: ScalingStatus | None = Field(default=None, description="How many replicas are wanted now.")
    adapters: list[AdapterStatus] = Field(
        default_factory=list,
        max_length=64,
        json_schema_extra=list_map("name"),
        description="Adapters of the newest pods.",
    )
    engine_revision: int = Field(
        default=0, ge=0, description="Recorded builder of the pod template; it moves only with the user's spec."
    )
    engine_image: str = Field(default="", max_length=512, description="Image of the engine in the pod template.")
