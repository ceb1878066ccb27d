"""What a request needs of budgets before it may go, and why it may not. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from smallmodel_operator.budget.counter import Counter


class Why(StrEnum):
    """Why a request may not go."""

    EXHAUSTED = "Exhausted"
    """It would be over the limit. `until` the window ends."""
    RESERVED = "Reserved"
    """What is left is held for requests that are under way, or by other gateways: later there may be enough."""
    TOO_LARGE = "TooLarge"
    """This request alone may need more than the limit."""
    UNREACHABLE = "Unreachable"
    """What this gateway was granted is used up, and it cannot ask for more."""
    UNPRICED = "Unpriced"
    """Nobody knows what its target asks for, in the currency of the budget."""
    NOT_KEPT = "NotKept"
    """The reservation cannot be kept on the disk."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request may need at most of a counter, and the counter's limit."""

    amount: int
    limit: int


@dataclass(frozen=True, slots=True)
class Refused:
    """`counter`, `limit` and `until` are those that stand in the way; None: it is not for want of anything."""

    why: Why
    counter: Counter | None = None
    limit: int = 0

    @property
    def until(self) -> datetime | None:
        """When its window ends."""
        return self.counter.window.end if self.counter else None


Needs = Mapping[Counter, Asked]
"""Of all counters of a request."""
