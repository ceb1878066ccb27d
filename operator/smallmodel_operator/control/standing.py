"""How a model stands in the pool, and what it is told: news only where it is some. Pure; times in seconds."""

from dataclasses import dataclass, field, replace

from smallmodel_operator.autoscaling.room import Claim, Grant
from smallmodel_operator.autoscaling.spare import Spare
from smallmodel_operator.autoscaling.worth import Worth
from smallmodel_operator.core.scaling import Granted

SAY_SECONDS, HELD_SECONDS = 60.0, 600.0
"""While only those change who hold the room it is said this seldom; even less while all who were named hold some."""
TIMES, POINTS = 1.5, 0.05
"""And only of somebody who holds so much more of it than the least of them. Who comes first among equals is noise, and
each such sentence is a write."""


@dataclass(frozen=True, slots=True)
class PoolStanding:
    """Since when a model has had a replica, or none although it was asked for; what its replicas are worth, and the
    room it could grow into; and what was said to it.

    `has`: None before the first look.
    """

    has: bool | None = None
    since: float = 0.0
    worth: Worth = field(default_factory=Worth)
    spare: Spare = field(default_factory=Spare)
    granted: Granted | None = None
    holders: tuple[str, ...] = ()
    least: float = 0.0
    """Part of the pool that the least of them had."""
    said_at: float = 0.0


def recalled(has: bool, lasted: float, now: float) -> PoolStanding:
    """How a model stands that is seen for the first time, as after a restart: who waited does not begin anew, nor who
    has had its turn. `lasted`: seconds, 0 where nobody knows."""
    return PoolStanding(has, now - lasted) if lasted else PoolStanding()


def roomy(standing: PoolStanding) -> PoolStanding:
    """The pool holds everything: nothing is said."""
    return replace(standing, granted=None, holders=()) if standing.granted else standing


def told(
    standing: PoolStanding, claim: Claim, grant: Grant, wants: int, now: float, hold: frozenset[str]
) -> PoolStanding:
    """What a model is told; the sentence stays while the same hold the room.

    Args:
        standing: how it stood.
        claim: what it needs now.
        grant: what of that it may have.
        wants: replicas it was last said to want, which may be more.
        now: the time.
        hold: all who have any room.
    """
    before = standing.granted
    if not grant.full and not grant.yielding:
        if wants <= grant.replicas:
            return replace(standing, granted=None, holders=())
        if before is not None and before.replicas == grant.replicas and before.running == claim.current:
            return standing  # what it wanted a moment ago had no room either
    news = Granted(grant.replicas, grant.why[:400], grant.full, claim.idle, claim.current)
    holders = grant.holders or grant.yielding
    if before is not None:
        same = replace(news, why="", running=0) == replace(before, why="", running=0)
        if same and not _others(standing, grant, holders, now - standing.said_at, hold):
            return replace(standing, granted=replace(before, running=claim.current))
    return replace(standing, granted=news, holders=holders, least=min(grant.parts, default=0.0), said_at=now)


def _others(
    standing: PoolStanding, grant: Grant, holders: tuple[str, ...], seconds: float, hold: frozenset[str]
) -> bool:
    """Is it news that these hold the room, so long after it was said of others?"""
    before = set(standing.holders)
    if set(holders) == before:
        return False
    if not before:
        return True
    if not hold.issuperset(before):
        return seconds >= SAY_SECONDS
    more = any(
        p > TIMES * standing.least + POINTS for n, p in zip(holders, grant.parts, strict=False) if n not in before
    )
    return seconds >= HELD_SECONDS and more
