"""spec.escalation of a ModelRoute: which requests a larger target answers, and how many at most."""

from pydantic import Field

from smallmodel_operator.api.v1alpha1.common import ApiModel, NameReference
from smallmodel_operator.api.v1alpha1.route_choice import Probability, TargetName


class EscalationKeyReference(NameReference):
    """One entry of a ConfigMap in the route's namespace."""

    key: str = Field(
        default="escalation.json",
        min_length=1,
        max_length=253,
        pattern=r"^[-._a-zA-Z0-9]+$",
        description="Entry of the ConfigMap's `data`.",
    )


class Complexity(ApiModel):
    """How hard a request is, by its words, before anything answers it."""

    classifier_ref: EscalationKeyReference = Field(
        description=(
            "Where the file lies that `slm route train --strong … --weak …` wrote, in the route's namespace. While it "
            "is missing or cannot be read nothing is escalated for being hard."
        )
    )
    threshold: Probability = Field(
        default="",
        description=(
            "Least probability that the larger model helps, from 0 to 1, as decimal text; a request with less is never "
            "escalated. Empty: the hardest `maxPercent` of the requests are."
        ),
    )


class Escalation(ApiModel):
    """Which requests a larger target answers in place of `spec.default`."""

    order: list[TargetName] = Field(
        min_length=1,
        max_length=8,
        json_schema_extra={"x-kubernetes-list-type": "set"},
        description="Names of targets, not `spec.default`: a request goes to the first that may and can answer it.",
    )
    complexity: Complexity | None = Field(
        default=None, description="Requests that no rule matches go there when they are hard."
    )
    on_unavailable: bool = Field(
        default=False,
        description=(
            "A request whose target cannot answer goes there: its SmallModel is missing, does not let the route in, is "
            "switched off, stopped or stalled, or has used up its budget. One that is asleep is woken."
        ),
    )
    max_percent: int = Field(
        default=20,
        ge=1,
        le=100,
        description=(
            "How many of the requests whose difficulty is asked for are escalated at most; each gateway keeps to it "
            "for itself. Those of `onUnavailable` do not count."
        ),
    )
    window_seconds: int = Field(
        default=3600, ge=60, le=86400, description="After so long the count for `maxPercent` begins anew."
    )


class EscalationStatus(ApiModel):
    """The classifier of `spec.escalation.complexity` as the operator read it."""

    digest: str = Field(max_length=80, description="Its digest: requests are scored by the file that has it.")
