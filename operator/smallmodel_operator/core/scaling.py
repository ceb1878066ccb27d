"""What is asked of replicas that follow an objective, and what their controller last said. Values only."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Objective:
    """What is asked: `percentile` of first tokens within `seconds`, with `least` to `most` replicas."""

    seconds: float
    percentile: float
    least: int
    most: int


@dataclass(frozen=True, slots=True)
class Scaled:
    """What a model's controller last had to say; it stays the same while only numbers move.

    Args:
        replicas: to have now.
        why: in one sentence, with the numbers of the moment it was first said.
        known: every gateway says what comes; else what runs is kept.
        exhausted: more replicas are needed than are allowed.
        met: first tokens are in time as asked; None: too few answers to say.
        attained: percent of first tokens that were in time; None: none was counted.
        nearest: seconds within which the percentile can come at all; 0 while that is not known.
        turn: how the direction just changed, for an event; empty: it did not.
    """

    replicas: int
    why: str
    known: bool = True
    exhausted: bool = False
    met: bool | None = None
    attained: float | None = None
    nearest: float = 0.0
    turn: str = ""


@dataclass(frozen=True, slots=True)
class Stranger:
    """Somebody else who goes on writing the replicas of a Deployment; they are left at `replicas`, `by` names it."""

    by: str
    replicas: int
