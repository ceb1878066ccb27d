"""Replicas a budget allows, by its pace. Pure; money in one currency, seconds.

A budget is for a period. What is left of it, over the hours that are left, is the pace that can be kept; while less
was spent than the time that passed allows, twice of that for a while. What happens at the limit is the user's choice.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final

BURST: Final = 2.0


class Action(Enum):
    """What a budget may do, from the mildest on; each one does what those before it do, but for `WARN`."""

    WARN = "warn"
    """Say it."""
    SHRINK_FLOOR = "shrink-floor"
    """The fewest replicas become one."""
    CAP = "cap"
    """No more replicas than the pace pays for; one at least, while money is left."""
    SLEEP = "sleep"
    """With nothing left: asleep once nobody is answered any more, and not woken."""
    REFUSE = "refuse"
    """With nothing left: new requests are refused at once."""


LADDER: Final = tuple(Action)


@dataclass(frozen=True, slots=True)
class Spending:
    """Where a budget stands: `spent` of `budget` after `elapsed` of `period`, at `hourly` for each replica."""

    budget: float
    spent: float
    elapsed: float
    period: float
    hourly: float

    @property
    def left(self) -> float:
        return max(0.0, self.budget - self.spent)


@dataclass(frozen=True, slots=True)
class Capped:
    """Limits of the moment. `why` is empty while the budget binds nothing."""

    least: int
    most: int
    refuse: bool
    why: str


def pace(spending: Spending) -> float:
    """Replicas that can be paid for from now on; infinite where they cost nothing."""
    hours = max(spending.period - spending.elapsed, 1.0) / 3600
    if spending.hourly <= 0:
        return float("inf")
    steady = spending.left / (hours * spending.hourly)
    ahead = spending.spent * spending.period <= spending.budget * spending.elapsed
    return steady * BURST if ahead else steady


def cap(spending: Spending, action: Action, least: int, most: int, in_flight: int) -> Capped:
    """The limits the budget leaves of `least` to `most` replicas."""
    rung = LADDER.index(action)
    affordable = pace(spending)
    used_up = spending.left <= 0 and spending.hourly > 0
    said = f"{spending.spent:.2f} of {spending.budget:.2f} spent after {_percent(spending)} of the period"
    if affordable >= most and not used_up:
        return Capped(least, most, False, "")
    if action is Action.WARN:
        return Capped(least, most, False, f"{said}: more than the pace, which only warns")
    floor = min(least, 1)
    if rung < LADDER.index(Action.CAP):
        return Capped(floor, most, False, f"{said}: the floor is {floor}")
    limit = min(most, max(1, floor, int(min(affordable, most))))
    if not used_up or action is Action.CAP:
        return Capped(min(floor, limit), limit, False, f"{said}: at most {limit} until the pace is met")
    if action is Action.SLEEP and in_flight:
        return Capped(0, limit, False, f"{said}: it sleeps when its last answer is complete")
    return Capped(0, limit if in_flight else 0, True, f"{said}: new requests are refused")


def _percent(spending: Spending) -> str:
    return f"{100 * min(1.0, spending.elapsed / max(spending.period, 1.0)):.0f} %"
