"""Room that a Batch model comes back to after it had to leave some: only what has lasted. Pure; seconds.

What higher priorities leave for a moment they soon want again: a replica that starts in it costs its start, and is
gone before it has answered anybody.
"""

import math
from dataclasses import dataclass
from typing import Final

from smallmodel_operator.autoscaling.room import Claim, Grant, Priority

LASTS_SECONDS: Final = 60.0
RETURN_SECONDS: Final = 600.0
"""Who has left no room for so long takes what is there."""


@dataclass(frozen=True, slots=True)
class Spare:
    """`yielded`: when the model left room last; `replicas`: those it could have had at every look since `since`,
    None: there is no room for more than it has."""

    yielded: float = -math.inf
    since: float | None = None
    replicas: int = 0


def settle(before: Spare, claim: Claim, grant: Grant, now: float) -> tuple[Spare, Grant]:
    """What of a grant it takes now. A first replica is never waited for."""
    count, current = grant.replicas, claim.current
    if count < min(current, claim.wanted):
        return Spare(now), grant
    if count <= current or not current or claim.priority is not Priority.BATCH:
        return Spare(before.yielded), grant
    if now - before.yielded >= RETURN_SECONDS:
        return Spare(before.yielded), grant
    since = now if before.since is None else before.since
    lasted = count if before.since is None else min(before.replicas, count)
    short = f"of {claim.wanted}: it left room lately, and comes back to what is free for {LASTS_SECONDS:g} s"
    if now - since < LASTS_SECONDS:
        return Spare(before.yielded, since, lasted), Grant(current, f"{current} {short}", full=True)
    return Spare(before.yielded), grant if lasted == count else Grant(lasted, f"{lasted} {short}", full=True)
