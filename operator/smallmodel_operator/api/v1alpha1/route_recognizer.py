"""spec.boundary.recognizers of a ModelRoute: who says whether a text has names or health data in it."""

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from smallmodel_operator.api.v1alpha1.common import ApiModel, DnsLabel

Recognized = Literal["Phi", "Names"]
Score = Annotated[str, StringConstraints(min_length=1, max_length=6, pattern=r"^(0(\.[0-9]{1,4})?|1(\.0{1,4})?)$")]
EntityName = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[A-Z][A-Z0-9_]*$")]
_SET: dict[str, Any] = {"x-kubernetes-list-type": "set"}


class RecognizerService(ApiModel):
    """A Service in the route's namespace, whose pods answer POST /analyze as Presidio's analyzer does."""

    name: DnsLabel = Field(
        description=(
            "Its name. It selects its pods by labels, and its first port leads to their port 3000. The Service and the "
            "pods carry the label `smallmodel.dev/role: recognizer`, by which gateways find and may reach them."
        )
    )
    language: str = Field(
        default="en", pattern=r"^[a-z]{2,3}$", max_length=3, description="The `language` that each request to it says."
    )
    entities: list[EntityName] = Field(
        default_factory=list,
        max_length=32,
        json_schema_extra=_SET,
        description="What it is to look for, like PERSON: the `entities` of each request. Empty: all it knows.",
    )
    min_score: Score = Field(
        default="0.5",
        description="Findings of a lower `score` do not count; from 0 to 1, as decimal text. 0: each counts.",
    )


class RecognizerModel(ApiModel):
    """A SmallModel in the route's namespace."""

    name: DnsLabel = Field(description="Its name. It is asked only while a replica runs, and never woken for it.")


class Recognizer(ApiModel):
    """Who is asked about a request that all else would let out. Give `service` or `smallModelRef`."""

    name: DnsLabel = Field(description="Its name, for records: they say that it found something, never what.")
    detectors: list[Recognized] = Field(
        min_length=1, max_length=2, json_schema_extra=_SET, description="Which of `detectors` it answers for."
    )
    service: RecognizerService | None = Field(
        default=None, description="A program of yours that speaks as Presidio's analyzer."
    )
    small_model_ref: RecognizerModel | None = Field(
        default=None,
        description="A SmallModel, asked by a prompt that is always the same, with one answer: found, or not.",
    )
    timeout_milliseconds: int = Field(
        default=500, ge=50, le=3000, description="A request that it has not answered for by then stays inside."
    )
