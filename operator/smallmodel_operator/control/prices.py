"""Price and power of a ComputeProfile as one: what an hour of its nodes costs. Pure."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from smallmodel_operator.core.money import BadCost, mapping
from smallmodel_operator.cost.node import NodePrice, node_price
from smallmodel_operator.energy.power import power


def hour_of(spec: Mapping[str, Any]) -> NodePrice | None:
    """An hour of a node of a profile, from its `spec`; None: the profile says no price.

    Raises:
        BadCost: what it says makes no sense; the message names the field.
    """
    price, drawn = spec.get("price"), spec.get("power")
    if drawn and (price or {}).get("purchase") is None:
        raise BadCost("spec.power must be unset without `spec.price.purchase`: an hourly rate includes electricity.")
    if not price:
        return None
    electricity = power(mapping("spec.power", drawn)).hourly if drawn else Decimal(0)
    return node_price(mapping("spec.price", price), electricity)


def watts_of(spec: Mapping[str, Any]) -> int:
    """What a node of a profile draws, from its `spec`; 0: it does not say.

    Raises:
        BadCost: what it says makes no sense; the message names the field.
    """
    drawn = spec.get("power")
    return power(mapping("spec.power", drawn)).watts if drawn else 0
