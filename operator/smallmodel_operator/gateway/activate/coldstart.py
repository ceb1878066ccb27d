"""How long models take from asleep to answering, stage by stage, and what that says to who cannot wait. Pure."""

import math
import statistics
from collections import deque
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

REMEMBERED: Final = 10
DEFAULT_SECONDS: Final = 30.0
"""Said while no cold start of a model was measured."""


class Answer(IntEnum):
    """What a pod says to a probe, in the order in which it comes to it."""

    NOTHING = 0
    LOADING = 1
    """It takes connections, and is not ready."""
    READY = 2


@dataclass(frozen=True, slots=True)
class Stages:
    """One cold start, in seconds: until the pod has an address (scheduled, sandbox), until its container takes
    connections, until the engine has loaded and says so."""

    schedule: float
    container: float
    load: float

    @property
    def total(self) -> float:
        return self.schedule + self.container + self.load


@dataclass(slots=True)
class Start:
    """One cold start under way, as probes see it. Times of one clock, in seconds."""

    began: float
    addressed: float | None = None
    connected: float | None = None

    def saw_address(self, now: float) -> None:
        if self.addressed is None:
            self.addressed = now

    def saw(self, answer: Answer, now: float) -> None:
        self.saw_address(now)
        if answer is not Answer.NOTHING and self.connected is None:
            self.connected = now

    def done(self, now: float) -> Stages:
        addressed = now if self.addressed is None else self.addressed
        connected = now if self.connected is None else self.connected
        return Stages(addressed - self.began, connected - addressed, now - connected)


@dataclass(slots=True)
class ColdStarts:
    """The last ones of each model."""

    _by_target: dict[str, deque[Stages]] = field(default_factory=dict)

    def add(self, target: str, stages: Stages) -> None:
        self._by_target.setdefault(target, deque(maxlen=REMEMBERED)).append(stages)

    def last(self, target: str) -> tuple[Stages, ...]:
        return tuple(self._by_target.get(target, ()))

    def targets(self) -> tuple[str, ...]:
        return tuple(self._by_target)

    def forget(self, target: str) -> None:
        self._by_target.pop(target, None)

    def retry_after(self, target: str, elapsed: float = 0.0) -> int:
        """Whole seconds after which asking again is likely to work: the median less what has passed, at least 1.

        A start that takes longer than the median is told the median again: nothing better is known.
        """
        usual = statistics.median([s.total for s in self.last(target)] or [DEFAULT_SECONDS])
        left = usual - elapsed
        return max(1, math.ceil(left if left > 0 else usual))
