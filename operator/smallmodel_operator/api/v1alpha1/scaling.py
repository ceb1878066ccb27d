"""`spec.scaling`: who decides how many replicas there are, and what they must hold."""

from typing import Literal

from pydantic import Field

from smallmodel_operator.api.v1alpha1.common import ApiModel
from smallmodel_operator.api.v1alpha1.price import Currency, Money


class ColdStart(ApiModel):
    """How long and how many requests wait at the gateway while no replica answers (asleep, or being replaced)."""

    max_wait_seconds: int = Field(
        default=120, ge=1, le=900, description="Longest wait of one request; then it gets 503 with Retry-After."
    )
    max_queued_requests: int = Field(
        default=100, ge=0, le=4096, description="Most requests that wait, over all gateways; more get 503 at once."
    )


class LatencyObjective(ApiModel):
    """How many answers are how fast: one bound or several, each judged for itself."""

    percentile: int = Field(default=95, ge=50, le=99, description="Percent of answers that must be within each bound.")
    time_to_first_token_milliseconds: int | None = Field(
        default=None,
        ge=1,
        le=600_000,
        description="Streams: from the last byte of the request at the gateway to the first of the answer, hold "
        "included.",
    )
    inter_token_milliseconds: int | None = Field(
        default=None, ge=1, le=60_000, description="Streams: from one token to the next, mean of an answer."
    )
    end_to_end_milliseconds: int | None = Field(
        default=None,
        ge=1,
        le=3_600_000,
        description="From the last byte of the request at the gateway to the last of the answer, streamed or not, hold "
        "included.",
    )

    @property
    def seconds(self) -> tuple[float, float, float]:
        """The bounds in the order above, 0 where there is none."""
        first, inter, end = (
            (milliseconds or 0) / 1000
            for milliseconds in (
                self.time_to_first_token_milliseconds,
                self.inter_token_milliseconds,
                self.end_to_end_milliseconds,
            )
        )
        return first, inter, end


class CostObjective(ApiModel):
    """What it may cost, by the ledger of `slm cost`: start-up and idle hours included."""

    max_per_million_tokens: Money | None = Field(
        default=None, description="Most money for a million tokens, prompt and generated together, over a month."
    )
    monthly_budget: Money | None = Field(default=None, description="Most money in a month (UTC).")
    currency: Currency = Field(description="Currency of the amounts: that of the ComputeProfile's `price`.")
    on_exceeded: Literal["Warn", "ShrinkFloor", "Cap", "Sleep", "Refuse"] = Field(
        default="Warn",
        description=(
            "What happens when the budget's pace is not kept; each step does what those before it do. `Warn`: the "
            "condition and an event say so. `ShrinkFloor`: one replica in place of `minReplicas`. `Cap`: no more "
            "replicas than the pace pays for, one at least. `Sleep`: with nothing left, asleep once nobody is answered "
            "any more, and not woken until the next month. `Refuse`: with nothing left, new requests are refused at "
            "once, too: the one step that keeps a budget whatever comes."
        ),
    )


class Objectives(ApiModel):
    """What must hold, for as few replicas as that takes."""

    latency: LatencyObjective = Field(description="How many answers are how fast.")
    cost: CostObjective | None = Field(default=None, description="What it may cost.")
    prefer: Literal["Latency", "Cost"] = Field(
        default="Latency",
        description=(
            "Who goes first where both cannot be held. `Latency`: money takes no replica away while some is left. "
            "`Cost`: no more replicas than the budget's pace, and the tokens of late, pay for; with `onExceeded` Cap, "
            "Sleep or Refuse. The other's condition says so."
        ),
    )


class Scaling(ApiModel):
    """Who decides how many replicas there are."""

    mode: Literal["Manual", "Objective", "External"] = Field(
        default="Manual",
        description=(
            "`Manual`: `spec.replicas`, also through `kubectl scale`. `Objective`: the operator, as few as hold "
            "`objectives`. `External`: who writes `spec.replicas` through the scale subresource, like a "
            "HorizontalPodAutoscaler or KEDA; leave it out of your own manifests. What runs is kept until they do."
        ),
    )
    min_replicas: int | None = Field(
        default=None,
        ge=0,
        le=100,
        description=(
            "0 lets the model sleep after `idleSeconds` without a request; the next request wakes it and is held "
            "meanwhile. In mode Manual nothing else is allowed: awake, the count is `spec.replicas`. In mode Objective "
            "the fewest replicas while awake, 1 when unset."
        ),
    )
    max_replicas: int | None = Field(
        default=None, ge=1, le=100, description="Mode Objective: the most replicas. Not allowed in mode Manual."
    )
    objectives: Objectives | None = Field(
        default=None, description="Mode Objective: what must hold. Not allowed in mode Manual."
    )
    priority: Literal["Critical", "Standard", "Batch"] | None = Field(
        default=None,
        description=(
            "Who gets the room first when the nodes do not hold all that is wanted; `Standard` when unset. Only where "
            "replicas move: in mode Objective, or with `minReplicas: 0`."
        ),
    )
    idle_seconds: int | None = Field(
        default=None, ge=1, le=86400, description="Seconds without a request until sleep; 300 when unset."
    )
    cold_start: ColdStart = Field(default_factory=ColdStart, description="What requests wait for, and how long.")
