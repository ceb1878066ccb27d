"""spec.escalation of a ModelRoute: which requests a larger target answers, and how many at most."""

from typing import Literal

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


class Confidence(ApiModel):
    """How sure the default's own model is of its answer, by the probabilities of its tokens."""

    below: Probability = Field(
        min_length=1,
        description=(
            "An answer whose model is less sure of it than this, from 0 to 1 as decimal text, is doubted: its caller "
            "gets that of a larger target. `slm route confidence` says what a value costs and brings."
        ),
    )
    measure: Literal["Mean", "Least", "Whole"] = Field(
        default="Mean",
        description=(
            "`Mean`: the geometric mean of the probabilities of the answer's tokens. `Least`: the least of them. "
            "`Whole`: their product, which short answers do better by."
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
    confidence: Confidence | None = Field(
        default=None,
        description=(
            "Answers of `spec.default` to chats are kept back until they are whole, and are judged; where one is "
            "doubted a target of `order` answers the same request. Not together with `complexity`."
        ),
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
            "How many of the requests whose difficulty is asked for, or whose answer is judged, are escalated at most; "
            "each gateway keeps to it for itself. Those of `onUnavailable` do not count."
        ),
    )
    window_seconds: int = Field(
        default=3600, ge=60, le=86400, description="After so long the count for `maxPercent` begins anew."
    )


class EscalationStatus(ApiModel):
    """The classifier of `spec.escalation.complexity` as the operator read it."""

    digest: str = Field(max_length=80, description="Its digest: requests are scored by the file that has it.")
