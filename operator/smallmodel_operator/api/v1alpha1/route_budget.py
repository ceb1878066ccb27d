"""spec.budgets of a ModelRoute: what may be used in a day or a month, and what status says of it."""

from typing import Literal

from pydantic import Field

from smallmodel_operator.api.v1alpha1.common import ApiModel
from smallmodel_operator.api.v1alpha1.price import Currency, Money

MOST_USED = 1_000_000_000_000
"""Of a budget: what a register holds is exact far beyond it."""


class RouteBudget(ApiModel):
    """What may be used in a period."""

    per: Literal["Route", "Caller"] = Field(
        description="For whom the limit is: all callers together (`Route`), or each of them (`Caller`)."
    )
    period: Literal["Day", "Month"] = Field(description="How long it is for: a day or a month, in UTC.")
    requests: int | None = Field(
        default=None,
        ge=1,
        le=MOST_USED,
        description="Requests that may be sent on to a model; what the gateway refuses itself is none.",
    )
    tokens: int | None = Field(
        default=None,
        ge=1,
        le=MOST_USED,
        description=(
            "Tokens of prompts and answers together. While a request is under way the most it may use is held: a token "
            "for each byte of its body and `max_tokens`, or its model's whole context."
        ),
    )
    money: Money | None = Field(
        default=None,
        description=(
            "What targets with `external` may ask for, all in all, by their `price`; SmallModels ask for nothing. "
            "While a request is under way the most it may cost is held: a prompt token for each byte of its body, and "
            "`max_tokens`."
        ),
    )
    currency: Currency | None = Field(
        default=None,
        description="Code of the currency of `money`, like EUR; the `price` of each target has to be in it.",
    )
    soft_percent: int | None = Field(
        default=None,
        ge=1,
        le=99,
        description="Percent of the limit from which on condition BudgetAvailable has reason BudgetLow; unset: never.",
    )
    on_exceeded: Literal["Refuse", "LocalOnly"] = Field(
        default="Refuse",
        description=(
            "What becomes of requests over the limit, until the period ends: 429 (`Refuse`); or none leaves the "
            "cluster, and what targets inside can answer goes there and counts no more (`LocalOnly`)."
        ),
    )


class BudgetStatus(ApiModel):
    """How a budget stands, in steps of 5 percent."""

    per: str = Field(max_length=16, description="As in spec.budgets.")
    period: str = Field(max_length=16, description="As in spec.budgets.")
    unit: str = Field(max_length=16, description="`Requests`, `Tokens` or `Money`.")
    currency: str = Field(default="", max_length=3, description="Of `Money`; its amounts are in millionths of it.")
    window: str = Field(max_length=16, description="The day (`2026-11-22`) or the month (`2026-11`) that counts now.")
    limit: int = Field(ge=0, description="The limit.")
    used: int = Field(
        ge=0,
        description=(
            "At least so much is used, as the gateways last said, rounded down to 5 percent of the limit; of a budget "
            "per caller, by the one who used most."
        ),
    )
    used_up_by: int = Field(default=0, ge=0, description="Callers who have used theirs up, of a budget per caller.")
