"""What is asked of replicas that follow an objective, and what their controller last said. Values only."""

from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Final, NamedTuple


class Latency(Enum):
    """What of an answer is bounded."""

    FIRST_TOKEN = "first token"  # noqa: S105 - a token of text
    INTER_TOKEN = "inter token"  # noqa: S105
    END_TO_END = "end to end"


class Bounds(NamedTuple):
    """Seconds within which an answer is good; 0: that is not asked.

    `first_token`: until a stream begins. `inter_token`: from one token of a stream to the next, mean of an answer.
    `end_to_end`: until an answer is complete, streamed or not.
    """

    first_token: float = 0.0
    inter_token: float = 0.0
    end_to_end: float = 0.0

    @property
    def asked(self) -> tuple[tuple[Latency, float], ...]:
        """Those that are, in this order."""
        return _asked(self)


@lru_cache(maxsize=4096)
def _asked(bounds: Bounds) -> tuple[tuple[Latency, float], ...]:
    return tuple((kind, seconds) for kind, seconds in zip(Latency, bounds, strict=True) if seconds)


UNBOUNDED: Final = Bounds()
"""Nothing is asked."""


@dataclass(frozen=True, slots=True)
class Objective:
    """What is asked: `percentile` of first tokens within `seconds`, with `least` to `most` replicas.

    The same of `inter_token` and `end_to_end`; as in `Bounds`, 0 is not asked. Each bound is judged for itself.
    """

    seconds: float
    percentile: float
    least: int
    most: int
    inter_token: float = 0.0
    end_to_end: float = 0.0

    @property
    def bounds(self) -> Bounds:
        return Bounds(self.seconds, self.inter_token, self.end_to_end)


@dataclass(frozen=True, slots=True)
class Standing:
    """How one bound stands.

    Args:
        latency: what is bounded.
        attained: percent of answers that were within it; None: none was counted.
        met: as many as asked were; None: too few answers to say.
        nearest: seconds within which the percentile can come at all; 0 while that is not known.
    """

    latency: Latency
    attained: float | None = None
    met: bool | None = None
    nearest: float = 0.0


@dataclass(frozen=True, slots=True)
class Scaled:
    """What a model's controller last had to say; it stays the same while only numbers move.

    Args:
        replicas: to have now.
        why: in one sentence, with the numbers of the moment it was first said.
        known: every gateway says what comes; else what runs is kept.
        exhausted: more replicas are needed than are allowed.
        standings: how each bound that is asked stands.
        turn: how the direction just changed, for an event; empty: it did not.
        source: who was asked in place of the gateways; empty: they were.
        missing: why not everything is known; empty: it is, or nobody says.
    """

    replicas: int
    why: str
    known: bool = True
    exhausted: bool = False
    standings: tuple[Standing, ...] = ()
    turn: str = ""
    source: str = ""
    missing: str = ""

    @property
    def met(self) -> tuple[bool | None, ...]:
        """Of each bound, whether it is."""
        return tuple(standing.met for standing in self.standings)


@dataclass(frozen=True, slots=True)
class Stranger:
    """Somebody else who goes on writing the replicas of a Deployment; they are left at `replicas`, `by` names it."""

    by: str
    replicas: int


@dataclass(frozen=True, slots=True)
class Granted:
    """What a model may have of a pool that does not hold everything; none is said where it has what it wants.

    Args:
        replicas: so many have room.
        why: in one sentence, with the names of those that hold the room.
        full: they are fewer than it wants; else they only wait until somebody has left the room.
        idle: nobody asked it when this was decided, so it yields only while that is so.
        running: replicas it had on nodes then. Where it had no more than it may have, it has nothing to leave.
    """

    replicas: int
    why: str
    full: bool = True
    idle: bool = False
    running: int = 0
