"""spec.rules and spec.classifier of a ModelRoute: which requests go to which target, by what they are."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from smallmodel_operator.api.v1alpha1.adapters import AdapterName
from smallmodel_operator.api.v1alpha1.common import ATOMIC, ApiModel, DnsLabel, NameReference

TaskClassName = Annotated[str, StringConstraints(min_length=1, max_length=63, pattern=r"^[^\s].*$")]
Probability = Annotated[str, StringConstraints(max_length=6, pattern=r"^(0(\.[0-9]{1,4})?|1(\.0{1,4})?)?$")]
TargetName = Annotated[str, StringConstraints(min_length=1, max_length=63)]
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
    adapter: AdapterName | None = Field(
        default=None,
        description=(
            "Requests for this adapter only, asked for as model `<route>:<adapter>`; the target they go to has to have "
            "it. Requests that name an adapter go by rules that give it, and by nothing else."
        ),
    )


class WithinDeadline(ApiModel):
    """Targets of requests that say in header `x-deadline-ms` how many milliseconds their answer may take."""

    order: list[TargetName] = Field(
        min_length=1,
        max_length=8,
        json_schema_extra={"x-kubernetes-list-type": "set"},
        description=(
            "Names of targets with `smallModelRef`: a request goes to the first that can answer it and of whose latest "
            "answers at least 95 % were whole within its deadline. Of one with fewer than 20 in the last hour, and of "
            "one that is asleep, nothing is known: it is passed over."
        ),
    )
    on_missed: Literal["Refuse", "Default"] = Field(
        default="Refuse",
        description=(
            "What becomes of a request that none of them is known to answer in time: 504 that says how fast each is "
            "(`Refuse`), or `spec.default` answers, with header `x-slm-degraded: deadline` (`Default`)."
        ),
    )


class RouteRule(ApiModel):
    """Requests that match go to a target."""

    name: DnsLabel = Field(description="Name of the rule, for records.")
    match: RuleMatch = Field(
        default_factory=RuleMatch,
        description=(
            "Which requests it is for: all that is given must hold. Something must be given, but beside "
            "`withinDeadline`."
        ),
    )
    target: TargetName | None = Field(default=None, description="Name of the target they go to.")
    within_deadline: WithinDeadline | None = Field(
        default=None,
        description=(
            "In place of `target`: requests that match and say a deadline go to the first of several targets that is "
            "known to be as fast. Those that say none are passed on to the next rule."
        ),
    )


class ClassifierStatus(ApiModel):
    """The classifier as the operator read it."""

    digest: str = Field(max_length=80, description="Its digest: decisions follow the file that has it.")
    classes: int = Field(ge=0, le=256, description="How many classes it knows.")
