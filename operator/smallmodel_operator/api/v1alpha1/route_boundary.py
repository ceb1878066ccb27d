"""spec.targets[].external and spec.boundary of a ModelRoute: what is outside, and which requests may go there."""

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from smallmodel_operator.api.v1alpha1.access import SecretKeyReference, ServiceAccountReference
from smallmodel_operator.api.v1alpha1.common import ATOMIC, ApiModel, DnsLabel, list_map
from smallmodel_operator.api.v1alpha1.price import Currency, Money
from smallmodel_operator.api.v1alpha1.route_recognizer import Recognizer

Detector = Literal["Pii", "Phi", "Names", "Pci", "Secrets"]
DataLabel = Annotated[
    str, StringConstraints(min_length=1, max_length=63, pattern=r"^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$")
]
OutsideName = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=r"^[-A-Za-z0-9._:/@+]+$")]
DenyTerm = Annotated[str, StringConstraints(min_length=1, max_length=256, pattern=r"[^\s]")]
_SET: dict[str, Any] = {"x-kubernetes-list-type": "set"}
_RUN_HERE: tuple[Detector, ...] = ("Pii", "Pci", "Secrets")


class ExternalPrice(ApiModel):
    """What a target outside asks for."""

    prompt_per_million_tokens: Money = Field(description="Price of a million tokens of prompts.")
    generated_per_million_tokens: Money = Field(description="Price of a million tokens that are generated.")
    currency: Currency = Field(description="Code of the currency of both, like EUR.")


class ExternalSilence(ApiModel):
    """How long a target outside may say nothing before its answer begins; then the request is answered inside."""

    stream_seconds: int = Field(
        default=60, ge=1, le=300, description="Of requests with `stream: true`, until the stream begins."
    )
    answer_seconds: int = Field(
        default=300,
        ge=1,
        le=300,
        description="Of all others. They begin when they are whole: give it as long as the longest answer takes.",
    )


class ExternalTarget(ApiModel):
    """An OpenAI-compatible API outside the cluster."""

    url: str = Field(
        min_length=1,
        max_length=256,
        description=(
            "Its base URL, like https://api.example.com/v1: https, a DNS name in lower case, a port if it is not 443, "
            "and what stands in front of /chat/completions."
        ),
    )
    model: OutsideName = Field(description="What it calls the model; requests there carry this name.")
    api_key_secret_ref: SecretKeyReference | None = Field(
        default=None,
        description=(
            "Its key, an entry of a Secret in the route's namespace, sent as `authorization: Bearer`. Callers "
            "and gateways never see it. Unset: requests there carry none."
        ),
    )
    price: ExternalPrice | None = Field(
        default=None, description="What it asks for; `spec.budgets` with `money` need it."
    )
    silence: ExternalSilence = Field(
        default_factory=ExternalSilence,
        description=(
            "How long it may say nothing before its answer begins. What it is longer silent for is answered inside, as "
            "what fails outside is; who names the target gets 504. Once it has begun, 300 s between two pieces."
        ),
    )


class BoundaryPattern(ApiModel):
    """What must stay inside, by a pattern."""

    name: DnsLabel = Field(description="Its name, for records: they say that it was found, never what.")
    regex: str = Field(
        min_length=1,
        max_length=1024,
        description="RE2's syntax: no look-around, no back-references. What a request's text matches anywhere stays.",
    )


class TrustedCaller(ApiModel):
    """Callers whose word on what their requests hold counts: give `namespace`, `serviceAccount` or `apiKey`."""

    name: DnsLabel = Field(description="Name of the entry.")
    namespace: DnsLabel | None = Field(
        default=None, description="Every ServiceAccount there, and the keys of models and routes there."
    )
    service_account: ServiceAccountReference | None = Field(default=None, description="One ServiceAccount.")
    api_key: DnsLabel | None = Field(default=None, description="Name of one of `spec.access.apiKeys`.")
    labels: list[DataLabel] = Field(
        default_factory=list, max_length=16, json_schema_extra=_SET, description="Labels that all its requests carry."
    )
    may_label: list[DataLabel] = Field(
        default_factory=list,
        max_length=16,
        json_schema_extra=_SET,
        description=(
            "Labels it may give a request in header `x-data-label`, separated by commas. A request that says another "
            "one has none at all, so it stays inside."
        ),
    )


class RouteBoundary(ApiModel):
    """Which requests may go to targets outside the cluster. Whatever goes wrong on the way keeps a request inside."""

    external: Literal["Denied", "WhenClean"] = Field(
        default="Denied",
        description=(
            "Denied: none. WhenClean: requests that carry a label from a caller in `trusted`, none of `labels`, and in "
            "which nothing is found."
        ),
    )
    unlabelled: Literal["Inside"] = Field(
        default="Inside", description="Requests without a label: Inside is the only value."
    )
    detectors: list[Detector] = Field(
        default_factory=lambda: list(_RUN_HERE),
        max_length=5,
        json_schema_extra=_SET,
        description=(
            "What is looked for in every text of a request: Pii, Pci and Secrets where this is left out; an empty list "
            "looks for none of them. Phi (health) and Names need one of `recognizers`: without "
            "it everything stays inside."
        ),
    )
    recognizers: list[Recognizer] = Field(
        default_factory=list,
        max_length=4,
        json_schema_extra=list_map("name"),
        description=(
            "Asked, all of them, about each request that everything else would let out. What one finds something in, "
            "or does not answer for, stays inside."
        ),
    )
    labels: list[DataLabel] = Field(
        default_factory=list,
        max_length=32,
        json_schema_extra=_SET,
        description="Requests that carry one of these stay inside, whatever else they carry.",
    )
    patterns: list[BoundaryPattern] = Field(
        default_factory=list,
        max_length=64,
        json_schema_extra=list_map("name"),
        description="Further patterns of what must stay.",
    )
    deny_terms: list[DenyTerm] = Field(
        default_factory=list,
        max_length=128,
        json_schema_extra=ATOMIC,
        description="Words and phrases that must stay, whatever their case.",
    )
    trusted: list[TrustedCaller] = Field(
        default_factory=list,
        max_length=32,
        json_schema_extra=list_map("name"),
        description=(
            "Callers whose labels count; all entries that name a caller count together. Requests of all others have no "
            "label and stay inside."
        ),
    )
