"""What is counted: requests, tokens or money of a route, or of one of its callers, in a window. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from smallmodel_operator.budget.window import Window, window_of


class Unit(StrEnum):
    """What is counted."""

    REQUESTS = "Requests"
    TOKENS = "Tokens"
    MONEY = "Money"
    """What targets outside ask for, in trillionths of a currency: see price.py."""


@dataclass(frozen=True, slots=True)
class Counter:
    """One sum. `route`: `<namespace>/<name>`; `caller`: as in the access log, empty for all callers together.

    `currency`: of money, else empty. Another one is another sum: no exchange rate is assumed.
    """

    route: str
    unit: Unit
    window: Window
    caller: str = ""
    currency: str = ""

    def __str__(self) -> str:
        what = f"{self.unit}/{self.currency}" if self.currency else self.unit
        return " ".join(filter(None, (self.route, what, self.window.name, self.caller)))


Amounts = Mapping[Counter, int]
"""Of each counter so much."""


def counter_of(text: str) -> Counter:
    """Read what `str` wrote.

    Raises:
        ValueError: that is no counter.
    """
    match text.split(" "):
        case [route, what, name]:
            return _counter(route, what, name)
        case [route, what, name, caller] if caller:
            return _counter(route, what, name, caller)
    raise ValueError(f"{text!r} is no counter")


def _counter(route: str, what: str, name: str, caller: str = "") -> Counter:
    unit, _, currency = what.partition("/")
    if (unit == Unit.MONEY) != bool(currency):
        raise ValueError(f"{what!r} is no unit: money has a currency, and nothing else has one")
    return Counter(route, Unit(unit), window_of(name), caller, currency)
