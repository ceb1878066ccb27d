"""One entry of `spec.budgets`: what may be used of what, by whom, in which period. Pure; the clock is passed in."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from smallmodel_operator.budget.counter import Counter, Unit
from smallmodel_operator.budget.need import Asked, Needs
from smallmodel_operator.budget.window import Period, window


class Per(StrEnum):
    """For whom a limit is."""

    ROUTE = "Route"
    """All callers together."""
    CALLER = "Caller"
    """Each of them."""


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit. `most`: requests or tokens; `soft_percent`: of it, from which on it is said; 0: it is not.

    `local`: over it nothing leaves the cluster, and what stays inside goes on; else nothing goes on.
    """

    per: Per
    period: Period
    unit: Unit
    most: int
    soft_percent: int = 0
    local: bool = False

    @property
    def name(self) -> str:
        """The same for no other limit of the route: `Route/Month/Tokens`."""
        return f"{self.per}/{self.period}/{self.unit}"

    def counter(self, route: str, caller: str, now: datetime) -> Counter:
        """What a caller's request to a route counts on."""
        return Counter(route, self.unit, window(self.period, now), caller if self.per is Per.CALLER else "")

    def counts(self, counter: Counter) -> bool:
        """Is a counter of this limit's route one of this limit's?"""
        same = counter.unit is self.unit and counter.window.period is self.period
        return same and bool(counter.caller) == (self.per is Per.CALLER)


def limit_of(given: Mapping[str, Any]) -> Limit:
    """An entry of `spec.budgets` as the API server holds it.

    Raises:
        KeyError, ValueError: its schema would not let it in.
    """
    unit = Unit.REQUESTS if "requests" in given else Unit.TOKENS
    most = given["requests" if unit is Unit.REQUESTS else "tokens"]
    soft, local = int(given.get("softPercent") or 0), given.get("onExceeded") == "LocalOnly"
    return Limit(Per(given["per"]), Period(given["period"]), unit, int(most), soft, local)


def needs(limits: Iterable[Limit], route: str, caller: str, tokens: int, now: datetime) -> Needs:
    """What a request needs of all limits of its route. `tokens`: the most it may use."""
    return {
        limit.counter(route, caller, now): Asked(1 if limit.unit is Unit.REQUESTS else tokens, limit.most)
        for limit in limits
    }
