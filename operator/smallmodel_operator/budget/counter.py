"""What is counted: requests or tokens of a route, or of one of its callers, in a window. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from smallmodel_operator.budget.window import Window, window_of


class Unit(StrEnum):
    """What is counted."""

    REQUESTS = "Requests"
    TOKENS = "Tokens"


@dataclass(frozen=True, slots=True)
class Counter:
    """One sum. `route`: `<namespace>/<name>`; `caller`: as in the access log, empty for all callers together."""

    route: str
    unit: Unit
    window: Window
    caller: str = ""

    def __str__(self) -> str:
        return " ".join(filter(None, (self.route, self.unit, self.window.name, self.caller)))


Amounts = Mapping[Counter, int]
"""Of each counter so much."""


def counter_of(text: str) -> Counter:
    """Read what `str` wrote.

    Raises:
        ValueError: that is no counter.
    """
    match text.split(" "):
        case [route, unit, name]:
            return Counter(route, Unit(unit), window_of(name))
        case [route, unit, name, caller] if caller:
            return Counter(route, Unit(unit), window_of(name), caller)
    raise ValueError(f"{text!r} is no counter")
