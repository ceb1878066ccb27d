"""When a node of one's own is cheaper than a cloud's tokens. Pure arithmetic.

A node costs the same whether it answers or waits, so its tokens cost the more the less it has to do; a cloud's tokens
always cost the same. Where the two lines meet is the break-even.
"""

from dataclasses import dataclass
from decimal import Decimal

from smallmodel_operator.core.money import MILLION, BadCost
from smallmodel_operator.cost.node import MONTH_HOURS, NodePrice
from smallmodel_operator.cost.pricelist import CloudPrice
from smallmodel_operator.cost.tokens import Speed


@dataclass(frozen=True, slots=True)
class Work:
    """A node that answers requests: tokens of a usual one, and how much of the time the node is busy."""

    speed: Speed
    replicas: int
    prompt: Decimal
    generated: Decimal
    utilization_percent: Decimal

    def __post_init__(self) -> None:
        if self.prompt + self.generated <= 0:
            raise BadCost("prompt and generated tokens are both 0: a request has some.")
        if self.replicas < 1:
            raise BadCost(f"replicas per node is {self.replicas}: give a whole number from 1 on.")
        if not 0 < self.utilization_percent <= 100:
            raise BadCost(f"utilization is {self.utilization_percent} %: give a number above 0, at most 100.")

    @property
    def tokens_per_hour(self) -> Decimal:
        """Of a node that is never idle."""
        seconds = self.speed.seconds(self.prompt, self.generated)
        return self.replicas * 3600 * (self.prompt + self.generated) / seconds

    def local(self, price: NodePrice, utilization_percent: Decimal) -> Decimal:
        """Money of a million tokens, prompt and generated together."""
        return price.hourly * MILLION / (self.tokens_per_hour * utilization_percent / 100)


@dataclass(frozen=True, slots=True)
class Comparison:
    """A node beside one model of a cloud; money of a million tokens of the same mix.

    `break_even_percent`: the utilization from which the node is cheaper; above 100 it never is. `payback_months`: None
    where the node was not bought, or its running costs alone exceed what it saves.
    """

    name: str
    cloud: Decimal
    local: Decimal
    break_even_percent: Decimal | None
    payback_months: Decimal | None

    @property
    def cheaper(self) -> str:
        return "cloud" if self.cloud < self.local else "local"


def compare(price: NodePrice, work: Work, cloud: CloudPrice) -> Comparison:
    """The node beside the cloud's model. `break_even_percent` is None where the cloud takes nothing."""
    tokens = work.prompt + work.generated
    theirs = cloud.of(work.prompt, work.generated) * MILLION / tokens
    full = work.local(price, Decimal(100))
    return Comparison(
        cloud.name,
        cloud=theirs,
        local=work.local(price, work.utilization_percent),
        break_even_percent=full / theirs * 100 if theirs else None,
        payback_months=_payback(price, work, theirs),
    )


def _payback(price: NodePrice, work: Work, cloud: Decimal) -> Decimal | None:
    """Months until what the cloud would have taken, less the running costs, is as much as the purchase."""
    if price.purchase is None:
        return None
    avoided = work.tokens_per_hour * work.utilization_percent / 100 * cloud / MILLION
    saved = (avoided - price.running) * MONTH_HOURS
    return price.purchase / saved if saved > 0 else None
