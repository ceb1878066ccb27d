"""One entry of `spec.budgets`: what may be used of what, by whom, in which period. Pure; the clock is passed in."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from smallmodel_operator.budget.counter import Counter, Unit
from smallmodel_operator.budget.need import Asked, Needs
from smallmodel_operator.budget.price import shown, trillionths
from smallmodel_operator.budget.window import Period, window


class Per(StrEnum):
    """For whom a limit is."""

    ROUTE = "Route"
    """All callers together."""
    CALLER = "Caller"
    """Each of them."""


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit. `most`: requests, tokens, or trillionths of `currency`; `soft_percent`: of it, from which on it is said;
    0: it is not.

    `local`: over it nothing leaves the cluster, and what stays inside goes on; else nothing goes on.
    """

    per: Per
    period: Period
    unit: Unit
    most: int
    soft_percent: int = 0
    local: bool = False
    currency: str = ""
    """Of money."""

    @property
    def name(self) -> str:
        """The same for no other limit of the route: `Route/Month/Tokens`."""
        return f"{self.per}/{self.period}/{self.unit}"

    def counter(self, route: str, caller: str, now: datetime) -> Counter:
        """What a caller's request to a route counts on."""
        whose = caller if self.per is Per.CALLER else ""
        return Counter(route, self.unit, window(self.period, now), whose, self.currency)

    def counts(self, counter: Counter) -> bool:
        """Is a counter of this limit's route one of this limit's?"""
        what = counter.unit is self.unit and counter.currency == self.currency
        same = what and counter.window.period is self.period
        return same and bool(counter.caller) == (self.per is Per.CALLER)

    @property
    def text(self) -> str:
        """How much of what: `5 requests`, `400.00 EUR`."""
        return amount_of(self.most, self.unit, self.currency)


def amount_of(amount: int, unit: Unit, currency: str) -> str:
    """So much of a unit, as people read it."""
    return shown(amount, currency) if unit is Unit.MONEY else f"{amount} {unit.lower()}"


def limit_of(given: Mapping[str, Any]) -> Limit:
    """An entry of `spec.budgets` as the API server holds it.

    Raises:
        KeyError, ValueError: its schema would not let it in.
    """
    soft, local = int(given.get("softPercent") or 0), given.get("onExceeded") == "LocalOnly"
    limit = Limit(Per(given["per"]), Period(given["period"]), Unit.REQUESTS, 0, soft, local)
    if "money" in given:
        most = trillionths(given["money"])
        return replace(limit, unit=Unit.MONEY, most=most, currency=str(given["currency"]))
    if "tokens" in given:
        return replace(limit, unit=Unit.TOKENS, most=int(given["tokens"]))
    return replace(limit, most=int(given["requests"]))


@dataclass(frozen=True, slots=True)
class Most:
    """What a request may use at most. `money`: in trillionths; None: it goes nowhere that asks for any."""

    tokens: int = 0
    money: int | None = None


def needs(limits: Iterable[Limit], route: str, caller: str, most: Most, now: datetime) -> Needs:
    """What a request needs of the limits of its route; of those in money nothing where it costs none."""
    amounts = {Unit.REQUESTS: 1, Unit.TOKENS: most.tokens, Unit.MONEY: most.money}
    return {
        limit.counter(route, caller, now): Asked(amount, limit.most)
        for limit in limits
        if (amount := amounts[limit.unit]) is not None
    }
