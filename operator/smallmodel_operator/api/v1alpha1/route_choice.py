"""spec.rules and spec.classifier of a ModelRoute: which requests go to which target, by what they are."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from smallmodel_operator.api.v1alpha1.common import ATOMIC, ApiModel, DnsLabel, NameReference

TaskClassName = Annotated[str, StringConstraints(min_length=1, max_length=63, pattern=r"^[^\s].*$")]
Probability = Annotated[str, StringConstraints(max_length=6, pattern=r"^(0(\.[0-9]{1,4})?|1(\.0{1,4})?)?$")]
Requirement = Literal["Tools", "JsonSchema", "Embeddings"]


class ClassifierKeyReference(NameReference):
    """One entry of a ConfigMap in the route's namespace."""

    key: str = Field(
        default="tasks.json",
        min_length=1,
        max_length=253,
        pattern=r"^[-._a-zA-Z0-9]+$",
        description="Entry of the ConfigMap's `data`.",
    )


class RouteClassifier(ApiModel):
    """What tells classes of tasks apart."""

    config_map_ref: ClassifierKeyReference = Field(
        description=(
            "Where the file lies that `slm route train` wrote of labelled prompts, in the route's namespace. While it "
            "is missing or cannot be read no request has a class, and rules by class match nothing."
        )
    )
    threshold: Probability = Field(
        default="",
        description=(
            "Probability a class needs, from 0 to 1, as decimal text; a request whose likeliest class has less is of "
            "none. Empty is what the training found."
        ),
    )


class RuleMatch(ApiModel):
    """Which requests a rule is for: all that is given must hold."""

    task_class: TaskClassName | None = Field(
        default=None, description="Class of the request's task, by `spec.classifier`, as its examples name it."
    )
    requires: list[Requirement] = Field(
        default_factory=list,
        max_length=3,
        json_schema_extra=ATOMIC,
        description=(
            "What the request asks for, all of it: `Tools` (it brings tools), `JsonSchema` (its answer must follow a "
            "schema), `Embeddings` (it is sent to /v1/embeddings)."
        ),
    )
    context_tokens_over: int | None = Field(
        default=None,
        ge=1,
        le=10_000_000,
        description="Longer requests only, in tokens: a quarter of the body's bytes, which is an estimate.",
    )


class RouteRule(ApiModel):
    """Requests that match go to a target."""

    name: DnsLabel = Field(description="Name of the rule, for records.")
    match: RuleMatch = Field(description="Which requests it is for: all that is given must hold; something must be.")
    target: str = Field(min_length=1, max_length=63, description="Name of the target they go to.")


class ClassifierStatus(ApiModel):
    """The classifier as the operator read it."""

    digest: str = Field(max_length=80, description="Its digest: decisions follow the file that has it.")
    classes: int = Field(ge=0, le=256, description="How many classes it knows.")
