"""spec.tools of a ModelRoute: which tools models may be offered there, and how far a conversation goes."""

from typing import Annotated

from pydantic import Field, StringConstraints

from smallmodel_operator.api.v1alpha1.common import ApiModel

ToolName = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[a-zA-Z0-9_-]+$")]


class RouteTools(ApiModel):
    """What a conversation may have of tools. What breaks a bound is refused, and what cannot be told from it, too."""

    allow: list[ToolName] | None = Field(
        default=None,
        max_length=128,
        json_schema_extra={"x-kubernetes-list-type": "set"},
        description=(
            "Names of the tools that requests may offer, choose, or have calls of in their history; an empty list is "
            "none, unset is all. Names are the same only where every letter is."
        ),
    )
    max_calls_per_conversation: int | None = Field(
        default=None,
        ge=1,
        le=10_000,
        description="Tool calls that a request may have in its history, all messages together: it ends runaway loops.",
    )
    max_tokens_per_conversation: int | None = Field(
        default=None,
        ge=1,
        le=10_000_000,
        description="Longest conversation, in tokens: a quarter of the body's bytes, which is an estimate.",
    )
    verify_choice: bool = Field(
        default=False,
        description=(
            "Where a chat demands a tool call (`tool_choice`: `required`, or a tool's name) the answer is kept back "
            "until it is whole: one that calls none is asked for once more under a schema, then of "
            "`spec.escalation.order`, else it is refused."
        ),
    )
