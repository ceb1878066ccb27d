"""What each replica of a model avoided lately: what a shared pool goes by. Pure; seconds.

What a replica avoids follows the arrivals of the moment steeply, and most of that is noise: room that followed it would
go to and fro between equals, and each time somebody pays for a start.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

LATELY_SECONDS: Final = 120.0
"""Older than this hardly counts."""


@dataclass(frozen=True, slots=True)
class Worth:
    """`gains`: misses a second that each replica avoids, the first one first; empty before the first look."""

    gains: tuple[float, ...] = ()
    at: float = 0.0


def learn(before: Worth, gains: Sequence[float], at: float) -> Worth:
    """With what replicas avoid at a time. A last gain counts for all that follow it."""
    if not before.gains or not gains:
        return Worth(tuple(gains), at)
    keep = math.exp(-max(0.0, at - before.at) / LATELY_SECONDS)
    old, new = list(before.gains), list(gains)
    old += old[-1:] * (len(new) - len(old))
    new += new[-1:] * (len(old) - len(new))
    return Worth(tuple(keep * o + (1 - keep) * n for o, n in zip(old, new, strict=True)), at)
