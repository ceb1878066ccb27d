"""What an hour of a node costs, and of what it is made."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from smallmodel_operator.core.money import BadCost, currency, decimal, whole

YEAR_HOURS: Final = 8760
MONTH_HOURS: Final = Decimal(YEAR_HOURS) / 12


@dataclass(frozen=True, slots=True)
class NodePrice:
    """An hour of one node. `purchase`: what it was bought for; None: it is rented by the hour."""

    currency: str
    capital: Decimal
    maintenance: Decimal = Decimal(0)
    electricity: Decimal = Decimal(0)
    purchase: Decimal | None = None

    @property
    def running(self) -> Decimal:
        """Of an hour, besides what was paid once."""
        return self.maintenance + self.electricity if self.purchase is not None else self.hourly

    @property
    def hourly(self) -> Decimal:
        return self.capital + self.maintenance + self.electricity


def node_price(price: Mapping[str, Any], electricity: Decimal = Decimal(0)) -> NodePrice:
    """The price in a ComputeProfile's `spec.price`. What the API server refuses is refused here, too: the command
    reads profiles that it never saw.

    Args:
        price: the field.
        electricity: money of an hour's electricity; counted with a purchase only.

    Raises:
        BadCost: it makes no sense; the message names the field.
    """
    where = "spec.price"
    code = currency(f"{where}.currency", price.get("currency"))
    if (price.get("hourly") is None) == (price.get("purchase") is None):
        raise BadCost(f"{where} must have either `hourly`, or `purchase` with `amortizationYears`.")
    if price.get("purchase") is None:
        return NodePrice(code, decimal(f"{where}.hourly", price["hourly"], above=Decimal(0)))
    purchase = decimal(f"{where}.purchase", price["purchase"], above=Decimal(0))
    years = whole(f"{where}.amortizationYears", price.get("amortizationYears"), 1, 20)
    percent = whole(f"{where}.maintenancePercentPerYear", price.get("maintenancePercentPerYear") or 0, 0, 100)
    return NodePrice(
        code,
        capital=purchase / (years * YEAR_HOURS),
        maintenance=purchase * percent / (100 * YEAR_HOURS),
        electricity=electricity,
        purchase=purchase,
    )
