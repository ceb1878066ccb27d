"""Price and power of a profile as one."""

from decimal import Decimal

import pytest

from smallmodel_operator.control.prices import hour_of, watts_of
from smallmodel_operator.core.money import BadCost, text

BOUGHT = {"purchase": "12000", "amortizationYears": 4, "currency": "EUR"}
POWER = {"watts": 400, "pue": "1.4", "pricePerKilowattHour": "0.20"}


def test_electricity_is_part_of_an_hour_of_what_was_bought() -> None:
    found = hour_of({"price": BOUGHT, "power": POWER})
    assert found is not None
    assert found.electricity == Decimal("0.112")
    assert text(found.hourly, 4) == "0.4545"


def test_without_a_price_there_is_none() -> None:
    assert hour_of({"engines": []}) is None


@pytest.mark.parametrize("spec", [{"power": POWER}, {"price": {"hourly": "1", "currency": "EUR"}, "power": POWER}])
def test_electricity_of_what_was_not_bought_would_count_twice(spec: dict[str, object]) -> None:
    with pytest.raises(BadCost, match=r"spec\.power must be unset"):
        hour_of(spec)


def test_what_a_node_draws_is_its_own_without_the_rooms_cooling() -> None:
    assert watts_of({"price": BOUGHT, "power": POWER}) == 400
    assert watts_of({"price": BOUGHT}) == 0


def test_watts_that_make_no_sense_are_refused_by_name() -> None:
    with pytest.raises(BadCost, match=r"spec\.power\.watts"):
        watts_of({"price": BOUGHT, "power": {**POWER, "watts": 0}})
