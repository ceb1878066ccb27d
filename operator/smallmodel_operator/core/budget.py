"""What a model may cost, what it has cost, and what follows for its replicas. Values."""

from dataclasses import dataclass
from decimal import Decimal

from smallmodel_operator.api.conditions import Report
from smallmodel_operator.api.v1alpha1.scaling import Scaling


@dataclass(frozen=True, slots=True)
class CostObjective:
    """What is asked. Amounts in `currency`; None: not asked.

    Args:
        per_million: at most so much for a million tokens, prompt and generated together.
        monthly: at most so much in a month (UTC).
        action: what happens when the pace is not kept, by its name in the API.
        prefer_cost: money goes before latency where both cannot be held.
    """

    currency: str
    per_million: Decimal | None
    monthly: Decimal | None
    action: str
    prefer_cost: bool


def cost_asked(scaling: Scaling) -> CostObjective | None:
    """What a model may cost by its `spec.scaling`; None: that is not asked."""
    objectives = scaling.objectives
    if scaling.mode != "Objective" or objectives is None or objectives.cost is None:
        return None
    cost = objectives.cost
    per_million = Decimal(cost.max_per_million_tokens) if cost.max_per_million_tokens else None
    monthly = Decimal(cost.monthly_budget) if cost.monthly_budget else None
    return CostObjective(cost.currency, per_million, monthly, cost.on_exceeded, objectives.prefer == "Cost")


@dataclass(frozen=True, slots=True)
class Spent:
    """What the ledger has of a model this month, in one currency.

    Args:
        amount: spent so far.
        hourly: what an hour of one replica costs now, or did when there last was one; None: there was none yet.
        prompt: tokens read.
        generated: tokens written.
        tokens_per_hour: of late; None: not watched for long enough.
    """

    amount: Decimal = Decimal(0)
    hourly: Decimal | None = None
    prompt: int = 0
    generated: int = 0
    tokens_per_hour: float | None = None

    @property
    def per_million(self) -> Decimal | None:
        """Of a million tokens; None: there were none."""
        tokens = self.prompt + self.generated
        return self.amount * 1_000_000 / tokens if tokens else None


@dataclass(frozen=True, slots=True)
class Budgeted:
    """What a cost objective leaves of a model's limits, and how it stands.

    Args:
        least: fewest replicas.
        most: most replicas.
        exhausted: nothing is left and the action ends it: no replica once nobody is answered any more.
        refuse: new requests are refused at once.
        binds: in words, what limits replicas; empty: nothing does.
        report: the condition.
    """

    least: int
    most: int
    exhausted: bool
    refuse: bool
    binds: str
    report: Report

    @property
    def state(self) -> tuple[object, ...]:
        """What is news when it changes; the numbers in the words are not."""
        return self.least, self.most, self.exhausted, self.refuse, bool(self.binds), self.report.reason
