"""Arrivals a second to plan for, from counters at ticks. Pure; seconds.

A rate over a short window is noise, over a long one it is late. So every window speaks for the rate that its own
noise leaves certain, and the highest of them counts: a step is seen as soon as it is more than chance.
"""

import math
from bisect import bisect_right
from operator import itemgetter
from typing import Final

WINDOWS: Final = (10.0, 20.0, 40.0, 80.0, 160.0, 240.0)
DOUBT, LEAST_DOUBT = 1.3, 0.3
"""Standard deviations by which a window's rate is taken for lower than it looks: so many where a start is quick."""
SURE_FROM, SURE_AT = 30.0, 150.0
"""Seconds of a start from which less is doubted, and at which nothing would be: who waits for long cannot wait until he
is sure, for meanwhile every request is late."""
MOST_GROWTH: Final = 1.25
"""A step looks like steep growth, and does not go on."""
KEPT_SECONDS: Final = 400.0

_AT: Final = itemgetter(0)
Seen = tuple[tuple[float, int], ...]
"""(when, arrivals up to then), oldest first."""


def add(seen: Seen, at: float, arrivals: int) -> Seen:
    """With one more look; a counter that went back began anew, and what was seen before does not count any more."""
    if seen and arrivals < seen[-1][1]:
        return ((at, arrivals),)
    if seen and at <= seen[-1][0]:
        return seen
    first = 0
    while first + 1 < len(seen) and seen[first + 1][0] <= at - KEPT_SECONDS:
        first += 1
    return (*seen[first:], (at, arrivals))


def rate(seen: Seen, window: float) -> tuple[float, float]:
    """Arrivals a second over the last `window` seconds, and how many seconds were looked at."""
    if len(seen) < 2:
        return 0.0, 0.0
    now, last = seen[-1]
    first = bisect_right(seen, now - window, hi=len(seen) - 1, key=_AT) - 1
    since, before = seen[max(0, first)]
    return (last - before) / (now - since), now - since


def certain(seen: Seen, ahead: float) -> float:
    """The rate to plan for when what is decided now works `ahead` seconds later."""
    best, doubt = 0.0, _doubt(ahead)
    for window in WINDOWS:
        found, seconds = rate(seen, window)
        if seconds > 0:
            best = max(best, found - doubt * math.sqrt(found / seconds))
    if ahead <= 0 or not best:
        return best
    return max(best, min(MOST_GROWTH * best, best + growth(seen) * min(ahead, 300.0)))


def _doubt(ahead: float) -> float:
    return max(LEAST_DOUBT, DOUBT * min(1.0, (SURE_AT - ahead) / (SURE_AT - SURE_FROM)))


def growth(seen: Seen) -> float:
    """By how much the rate certainly grows a second: a line through the last minutes; 0 where it is not certain."""
    short, seconds = rate(seen, 60.0)
    long, whole = rate(seen, 320.0)
    if whole < 120:
        return 0.0
    apart = (whole - seconds) / 2
    before = (long * whole - short * seconds) / (whole - seconds)
    noise = math.sqrt(short / seconds + before / (whole - seconds))
    return max(0.0, (short - before - 2 * noise) / (apart + seconds / 2))
