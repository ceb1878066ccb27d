"""Electricity of a node. Pure; watts, hours, decimal money."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from smallmodel_operator.core.money import BadCost, decimal, whole


@dataclass(frozen=True, slots=True)
class Power:
    """What a node draws and what a kilowatt-hour costs; `pue` is what the room draws for each of its watts."""

    watts: int
    pue: Decimal
    price: Decimal

    @property
    def kilowatts(self) -> Decimal:
        """Drawn for the node, cooling included."""
        return Decimal(self.watts) * self.pue / 1000

    @property
    def hourly(self) -> Decimal:
        """Money of an hour."""
        return self.kilowatts * self.price


def power(given: Mapping[str, Any]) -> Power:
    """What a ComputeProfile's `spec.power` says.

    Raises:
        BadCost: it makes no sense; the message names the field.
    """
    where = "spec.power"
    pue = decimal(f"{where}.pue", given.get("pue", "1"))
    if not 1 <= pue < 10:
        raise BadCost(f"{where}.pue is {pue}: give a number from 1 to below 10.")
    price = decimal(f"{where}.pricePerKilowattHour", given.get("pricePerKilowattHour"))
    return Power(whole(f"{where}.watts", given.get("watts"), 1, 100_000), pue, price)
