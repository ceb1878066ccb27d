"""How long models take from asleep to answering, stage by stage, and what that says to who cannot wait. Pure."""

import math
from collections import deque
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from smallmodel_operator.core.traffic import ColdStart, typical

REMEMBERED: Final = 10
DEFAULT_SECONDS: Final = 30.0
"""Said while no cold start of a model was measured."""


class Answer(IntEnum):
    """What a pod says to a probe, in the order in which it comes to it."""

    NOTHING = 0
    LOADING = 1
    """It takes connections, and is not ready."""
    READY = 2


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

    def done(self, now: float) -> ColdStart:
        addressed = now if self.addressed is None else self.addressed
        connected = now if self.connected is None else self.connected
        return ColdStart(addressed - self.began, connected - addressed, now - connected)


@dataclass(slots=True)
class ColdStarts:
    """The last ones of each model."""

    _by_target: dict[str, deque[ColdStart]] = field(default_factory=dict)

    def add(self, target: str, stages: ColdStart) -> None:
        self._by_target.setdefault(target, deque(maxlen=REMEMBERED)).append(stages)

    def last(self, target: str) -> tuple[ColdStart, ...]:
        return tuple(self._by_target.get(target, ()))

    def targets(self) -> tuple[str, ...]:
        return tuple(self._by_target)

    def forget(self, target: str) -> None:
        self._by_target.pop(target, None)

    def retry_after(self, target: str, elapsed: float = 0.0, told: float = 0.0) -> int:
        """Whole seconds after which asking again is likely to work: the usual time less what has passed, at least 1.

        A start that takes longer than usual is told the usual time again: nothing better is known. `told`: what the
        model's status says it usually takes, for a gateway that has seen no start of it; 0 where it says nothing.
        """
        own = typical(self.last(target))
        usual = own.total if own else told or DEFAULT_SECONDS
        left = usual - elapsed
        return max(1, math.ceil(left if left > 0 else usual))
