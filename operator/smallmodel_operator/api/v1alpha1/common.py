"""Base model and the bounded field types all kinds share. Every leaf has a bound: CEL's cost limit needs them."""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel

from smallmodel_operator.api.quantity_rules import QUANTITY


class ApiModel(BaseModel):
    """camelCase outside, snake_case inside; unknown fields are ignored (the API server already pruned them)."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore", frozen=True)


def list_map(*keys: str) -> dict[str, Any]:
    """Schema extra of a list of named things, merged by its keys under server-side apply."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(keys)}


ATOMIC: dict[str, Any] = {"x-kubernetes-list-type": "atomic"}


def _quantity(text: str) -> str:
    if not re.fullmatch(QUANTITY, text):
        raise ValueError("must be an amount as Kubernetes writes it, like 2, 500m, 4Gi or 512Mi")
    return text


DnsLabel = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", min_length=1, max_length=63)]
DnsName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", min_length=1, max_length=253)]
QuantityText = Annotated[str, StringConstraints(min_length=1, max_length=20), AfterValidator(_quantity)]
"""Of CPU or memory. In a CRD a rule holds its form and says what is expected; a pattern would only quote itself."""
LabelKey = Annotated[str, StringConstraints(min_length=1, max_length=317)]
LabelValue = Annotated[str, StringConstraints(max_length=63, pattern=r"^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$")]
EngineName = Literal["LlamaCpp", "VLLM", "TGI"]
ImageReference = Annotated[str, StringConstraints(min_length=1, max_length=512, pattern=r"^[^\s]+$")]


class NameReference(ApiModel):
    """A reference to an object by name."""

    name: DnsName = Field(description="Name of the object referred to.")


class Toleration(ApiModel):
    """A taint the pods tolerate, as in a pod's `tolerations`."""

    key: str = Field(default="", max_length=317, description="Taint key; empty with operator Exists tolerates all.")
    operator: Literal["Exists", "Equal"] = Field(default="Equal", description="How key and value are compared.")
    value: str = Field(default="", max_length=63, description="Taint value; must be empty with Exists.")
    effect: Literal["", "NoSchedule", "PreferNoSchedule", "NoExecute"] = Field(
        default="", description="Taint effect; empty tolerates every effect."
    )
    toleration_seconds: int | None = Field(
        default=None, ge=0, le=86400, description="How long a NoExecute taint is tolerated; unset is for ever."
    )


NodeSelector = Annotated[
    dict[LabelKey, LabelValue],
    Field(max_length=16, description="Labels a node must have. Merged with the profile's; the model's value wins."),
]
Tolerations = Annotated[
    list[Toleration],
    Field(max_length=16, json_schema_extra=ATOMIC, description="Taints the pods tolerate, besides the profile's."),
]


class StatusCondition(ApiModel):
    """metav1.Condition."""

    type: str = Field(max_length=64, description="CamelCase name of the condition.")
    status: Literal["True", "False", "Unknown"] = Field(description="True, False or Unknown.")
    observed_generation: int = Field(default=0, ge=0, description="metadata.generation this was decided on.")
    last_transition_time: str = Field(
        max_length=32, description="When `status` last changed.", json_schema_extra={"format": "date-time"}
    )
    reason: str = Field(max_length=64, min_length=1, description="CamelCase reason, stable.")
    message: str = Field(default="", max_length=4096, description="What happened and what the user can do.")


class Standing(ApiModel):
    """How an object stands, as every status of ours begins."""

    observed_generation: int = Field(default=0, ge=0, description="metadata.generation this status was decided on.")
    pending: str = Field(
        default="",
        max_length=64,
        description="Why not all that is declared is in effect: the reason of Stalled, else of Reconciling.",
    )
    conditions: list[StatusCondition] = Field(
        default_factory=list, max_length=32, json_schema_extra=list_map("type"), description="kstatus and concerns."
    )
