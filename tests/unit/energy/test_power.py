"""Electricity of a node."""

from decimal import Decimal
from typing import Any

import pytest

from smallmodel_operator.core.money import BadCost
from smallmodel_operator.energy.power import power

GIVEN = {"watts": 400, "pue": "1.4", "pricePerKilowattHour": "0.20"}


def test_an_hour_is_what_the_room_draws_at_the_price() -> None:
    found = power(GIVEN)
    assert found.kilowatts == Decimal("0.56")
    assert found.hourly == Decimal("0.112")


def test_without_a_pue_the_room_draws_what_the_node_does() -> None:
    assert power({"watts": 1000, "pricePerKilowattHour": "0.30"}).hourly == Decimal("0.30")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"watts": 0}, "spec.power.watts"),
        ({"watts": "400"}, "spec.power.watts"),
        ({"pue": "0.9"}, "spec.power.pue"),
        ({"pue": "11"}, "spec.power.pue"),
        ({"pricePerKilowattHour": None}, "spec.power.pricePerKilowattHour"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(change: dict[str, Any], field: str) -> None:
    with pytest.raises(BadCost, match=field.replace(".", r"\.")):
        power({**GIVEN, **change})
