"""What a model costs and does at the moment: its replicas' hour, and tokens an hour of late. Pure."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from smallmodel_operator.cost.ledger import HOUR_MICROSECONDS, NANO, PricedNode
from smallmodel_operator.cost.share import WHOLE

FORGET_HOURS: Final = 1.0
LEAST_HOURS: Final = 0.5
"""Watched for less, a rate is a guess."""


@dataclass(frozen=True, slots=True)
class Rate:
    """Tokens an hour, counted for `hours`; `tokens` were counted in all at `at` (microseconds)."""

    tokens: int
    at: int
    per_hour: float = 0.0
    hours: float = 0.0

    @property
    def known(self) -> float | None:
        return self.per_hour if self.hours >= LEAST_HOURS else None


def seen(before: Rate | None, tokens: int, at: int) -> Rate:
    """After another look; a month that begins counts from 0 again."""
    if before is None or at <= before.at:
        return before or Rate(tokens, at)
    hours = (at - before.at) / HOUR_MICROSECONDS
    grown = tokens - before.tokens if tokens >= before.tokens else tokens
    # Of what was watched at all, the last hour counts most: the weight of a look is its share of that.
    share = 1 - math.exp(-hours / min(FORGET_HOURS, before.hours + hours)) if before.hours else 1.0
    return Rate(tokens, at, before.per_hour + share * (grown / hours - before.per_hour), before.hours + hours)


def hourly(nodes: Iterable[PricedNode]) -> Mapping[str, tuple[str, Decimal]]:
    """Currency and money of an hour of each model's replica, of the dearest where they differ."""
    found: dict[str, tuple[str, Decimal]] = {}
    for node in nodes:
        for tenant in node.tenants:
            if tenant.model:
                price = Decimal(node.pool.nano) / NANO * tenant.parts / WHOLE
                if price > found.get(tenant.model, ("", Decimal(-1)))[1]:
                    found[tenant.model] = (node.pool.currency, price)
    return found
