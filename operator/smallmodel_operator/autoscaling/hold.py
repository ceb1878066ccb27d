"""For how long a need is remembered: what would have been cheapest lately. Pure; seconds.

A burst that comes back within minutes is worth waiting for, a night is not, and nothing says beforehand which it is.
So several hold times are tried in thought, each with the replicas it would have had (those asked for a start-up time
ago) and the misses it would have seen; the cheapest is taken.
"""

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

from smallmodel_operator.autoscaling.table import FULL, Engine

SLOT: Final = 10.0
HOLDS: Final = (120.0, 240.0, 420.0, 600.0, 1200.0, 2400.0, 5400.0, 14400.0)
LEAST_STARTS, FIRST_STARTS = 4, 8
"""A need is remembered for at least so many start-up times; until something is learnt, for more of them."""
FORGET: Final = 5400.0
FEW_LATE: Final = 20.0
LEAST_TIMES, MOST_TIMES = 0.5, 4.0
"""What thought leaves out is the same for all hold times: what came late corrects all of them, within these bounds."""
BETTER: Final = 0.97
"""A hold time is left for one that is 3 % cheaper."""
CHANGE_SECONDS: Final = 70.0
"""What a change of direction costs beside the start-up time, in seconds of a replica."""


@dataclass(frozen=True, slots=True)
class Hold:
    """`needs`: the highest need of each slot, oldest first, the last one still open."""

    needs: tuple[int, ...] = ()
    opened: float = -math.inf
    costs: tuple[float, ...] = (0.0,) * len(HOLDS)
    counts: tuple[int, ...] = (0,) * len(HOLDS)
    backlogs: tuple[float, ...] = (0.0,) * len(HOLDS)
    chosen: int | None = None
    late: float = 0.0
    expected: float = 0.0
    """Misses that came, and that the chosen hold time should have seen."""

    @property
    def seconds(self) -> float:
        """For how long, in force now."""
        return HOLDS[self.chosen or 0]


def remember(hold: Hold, at: float, need: int, start: float) -> tuple[Hold, bool]:
    """With the need of now; whether a slot was closed."""
    if hold.chosen is None:
        first = next((i for i, h in enumerate(HOLDS) if h >= FIRST_STARTS * start), len(HOLDS) - 1)
        hold = replace(hold, chosen=first)
    if at < hold.opened + SLOT and hold.needs:
        return replace(hold, needs=(*hold.needs[:-1], max(hold.needs[-1], need))), False
    keep = int((HOLDS[-1] + start) / SLOT) + 2
    return replace(hold, needs=(*hold.needs[-keep:], need), opened=at), True


def peak(hold: Hold, seconds: float, ago: float = 0.0) -> int:
    """The highest need of the `seconds` before `ago`."""
    last = len(hold.needs) - int(ago / SLOT)
    window = hold.needs[max(0, last - int(seconds / SLOT) - 1) : max(0, last)]
    return max(window, default=0)


def judge(hold: Hold, came: float, late: float, engine: Engine, price: float, start: float) -> Hold:
    """Account for one slot in which `came` requests a second came, and `late` were answered late."""
    times = min(max((hold.late + FEW_LATE) / (hold.expected + FEW_LATE), LEAST_TIMES), MOST_TIMES)
    expected: list[float] = []
    keep = math.exp(-SLOT / FORGET)
    costs, counts, backlogs = [], [], []
    missed = lru_cache(lambda n: engine.missed(max(came, 1e-6), n))
    for cost, before, backlog, seconds in zip(hold.costs, hold.counts, hold.backlogs, HOLDS, strict=True):
        held = max(1, peak(hold, seconds))
        there = min(held, max(1, peak(hold, seconds, start)))
        carried = there * engine.capacity
        queue = max(0.0, backlog + (came - FULL * carried) * SLOT)
        share = min(1.0, missed(there) + max(queue, backlog) / carried / engine.patience)
        turn = CHANGE_SECONDS + start if held < before else 0.0
        expected.append(SLOT * came * share)
        costs.append(cost * keep + SLOT * price * held + times * expected[-1] + price * turn)
        counts.append(held)
        backlogs.append(queue)
    chosen = hold.chosen or 0
    long = [n for n, seconds in enumerate(HOLDS) if seconds >= LEAST_STARTS * start] or [len(HOLDS) - 1]
    best = min(long, key=costs.__getitem__)
    if chosen not in long or costs[best] < BETTER * costs[chosen]:
        chosen = best
    return replace(
        hold,
        costs=tuple(costs),
        counts=tuple(counts),
        backlogs=tuple(backlogs),
        chosen=chosen,
        late=hold.late * keep + late,
        expected=hold.expected * keep + expected[hold.chosen or 0],
    )
