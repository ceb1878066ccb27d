"""An hour of a node."""

from decimal import Decimal
from typing import Any

import pytest

from smallmodel_operator.core.money import BadCost, text
from smallmodel_operator.cost.node import node_price

BOUGHT = {"purchase": "12000", "amortizationYears": 4, "currency": "EUR"}


def test_a_purchase_is_spread_over_the_hours_of_its_years() -> None:
    found = node_price({"purchase": "280000", "amortizationYears": 3, "currency": "USD"})
    assert text(found.hourly) == "10.65"  # 280,000 / 26,280 h; a published tool says a tenth of it
    assert found.running == 0


def test_electricity_and_maintenance_come_on_top_of_a_purchase() -> None:
    found = node_price({**BOUGHT, "maintenancePercentPerYear": 5}, electricity=Decimal("0.112"))
    assert text(found.capital, 4) == "0.3425"
    assert text(found.maintenance, 4) == "0.0685"
    assert text(found.hourly, 4) == "0.5230"
    assert text(found.running, 4) == "0.1805"


def test_an_hourly_rate_is_all() -> None:
    found = node_price({"hourly": "0.45", "currency": "EUR"}, electricity=Decimal(9))
    assert (found.hourly, found.running, found.purchase) == (Decimal("0.45"), Decimal("0.45"), None)


@pytest.mark.parametrize(
    ("price", "field"),
    [
        ({"currency": "EUR"}, "spec.price must have either"),
        ({**BOUGHT, "hourly": "1"}, "spec.price must have either"),
        ({"hourly": "0", "currency": "EUR"}, "spec.price.hourly"),
        ({"hourly": 0.45, "currency": "EUR"}, '"0.45"'),
        ({"hourly": "NaN", "currency": "EUR"}, "spec.price.hourly"),
        ({"hourly": "1e9", "currency": "EUR"}, "spec.price.hourly"),
        ({"hourly": "1", "currency": "euro"}, "spec.price.currency"),
        ({"hourly": "1"}, "spec.price.currency"),
        ({**BOUGHT, "purchase": "-1"}, "spec.price.purchase"),
        ({**BOUGHT, "amortizationYears": 0}, "spec.price.amortizationYears"),
        ({**BOUGHT, "amortizationYears": True}, "spec.price.amortizationYears"),
        ({**BOUGHT, "maintenancePercentPerYear": 101}, "spec.price.maintenancePercentPerYear"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(price: dict[str, Any], field: str) -> None:
    with pytest.raises(BadCost, match=r"spec\.price") as refused:
        node_price(price)
    assert field in str(refused.value)
