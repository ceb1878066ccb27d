"""How fast models answered lately: what rules by a request's deadline go by. Times in seconds.

The same answers count as for objectives, and in the same way: what failed never came, and who left before the end
would have waited longer. Each gateway knows of those that went through it.
"""

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Final

from smallmodel_operator.gateway.accesslog.observe import Ending, Observation

SHARE: Final = 0.95
LATEST: Final = 256
"""Answers of a model that count."""
FEWEST: Final = 20
"""Answers from which they say something."""
LATEST_SECONDS: Final = 3600.0
"""How long each counts."""


@dataclass(frozen=True, slots=True)
class Took:
    """One request: how long its answer took, infinite where it failed; `left`: how long its caller waited for it."""

    seconds: float
    left: bool = False


def took(seen: Observation) -> Took | None:
    """What an observation says of how fast its model is; None: nothing."""
    if not seen.generates or seen.ending is Ending.REFUSED:
        return None
    if seen.ending is Ending.FAILED:
        return Took(math.inf)
    if seen.ending is Ending.LEFT:
        return Took(seen.waited or 0.0, left=True)
    return Took(seen.end_to_end) if seen.end_to_end is not None else None


def p95(answers: Iterable[Took]) -> float | None:
    """The least time within which 95 % were whole, of those that count against it; None: not known, or never.

    Who left counts against all times until then, as it does against an objective's bound.
    """
    known = list(answers)
    left = sorted(one.seconds for one in known if one.left)
    whole = sorted(one.seconds for one in known if not one.left)
    waiting, at = len(left), 0
    for good, seconds in enumerate(whole, start=1):
        while at < len(left) and left[at] <= seconds:
            at += 1
        counted = len(whole) + waiting - at
        if counted >= FEWEST and good >= SHARE * counted:
            return seconds if math.isfinite(seconds) else None
    return None


class Recent:
    """The latest answers of models that are followed. For two threads: the agent's, and who reads the log."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._answers: dict[str, deque[tuple[float, Took]]] = {}

    def follow(self, models: Collection[str]) -> None:
        """These models (`<namespace>/<name>`) are asked about; others are forgotten."""
        with self._lock:
            self._answers = {model: self._answers.get(model) or deque(maxlen=LATEST) for model in models}

    def record(self, seen: Observation) -> None:
        """One request that ended."""
        if not self._answers or not seen.model or (one := took(seen)) is None:
            return
        with self._lock:
            answers = self._answers.get(f"{seen.namespace}/{seen.model}")
            if answers is not None:
                answers.append((self._clock(), one))

    def p95(self, model: str) -> float | None:
        """Seconds within which 95 % of a model's latest answers were whole; None: not known."""
        since = self._clock() - LATEST_SECONDS
        with self._lock:
            answers = [one for at, one in self._answers.get(model, ()) if at >= since]
        return p95(answers)
