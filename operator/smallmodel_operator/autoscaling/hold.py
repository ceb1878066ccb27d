"""For how long replicas that nobody needs are kept: ski rental. Pure; seconds.

Whether a burst comes back within minutes or the evening has come is not known beforehand. Who pays rent until it has
cost as much as coming back does pays at most about twice what was best, whatever comes. So it counts how much stands
idle, not only for how long: one replica too many is kept for minutes, five for one.
"""

from dataclasses import dataclass
from typing import Final

RENT: Final = 300.0
"""Replica-seconds that may stand idle: what going down for nothing and coming back is taken to cost."""
LEAST_IDLE, LEAST_STARTS = 60.0, 2.0
"""A replica goes once it was not needed for so long, and for so many start-up times."""
NEEDED_TIMES: Final = 10.0
"""A second of need takes back so many seconds of idleness: what is needed a tenth of the time is kept."""


@dataclass(frozen=True, slots=True)
class Hold:
    """`idle`: for how long each replica was not needed, the first one first; so it never falls from one to the next."""

    idle: tuple[float, ...] = ()


def pass_by(hold: Hold, need: int, replicas: int, seconds: float) -> Hold:
    """After `seconds` in which so many were needed of the `replicas` that are there."""
    if replicas > len(hold.idle):  # more were needed than there were: all of them are
        return Hold((0.0,) * replicas)
    before = hold.idle[:replicas]
    return Hold(
        tuple(max(0.0, idle + (seconds if need <= n else -NEEDED_TIMES * seconds)) for n, idle in enumerate(before))
    )


def keep(hold: Hold, start: float) -> int:
    """The replicas to keep, where a start takes `start`."""
    least = max(LEAST_IDLE, LEAST_STARTS * start)
    free = [idle for idle in hold.idle if idle >= least]
    return len(hold.idle) - (len(free) if sum(free) >= RENT else 0)
