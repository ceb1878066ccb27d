"""When to ask again somebody who does not answer: a circuit breaker as a value. Pure; the clock is passed in."""

from dataclasses import dataclass
from typing import Final

FAILURES: Final = 3
"""So many in a row, and nobody is asked for a while; then once, and that answer decides."""
FIRST_PAUSE: Final = 10.0
LAST_PAUSE: Final = 60.0
"""Seconds; each pause is twice the one before."""


@dataclass(frozen=True, slots=True)
class Breaker:
    """`failures` in a row, the last at `at`."""

    failures: int = 0
    at: float = 0.0

    @property
    def pause(self) -> float:
        """Seconds in which nobody is asked; 0: the next question may come at once."""
        if self.failures < FAILURES:
            return 0.0
        return float(min(LAST_PAUSE, FIRST_PAUSE * 2 ** min(self.failures - FAILURES, 10)))

    def closed(self, now: float) -> bool:
        """May a question be asked?"""
        return not 0 <= now - self.at < self.pause

    def failed(self, now: float) -> "Breaker":
        return Breaker(self.failures + 1, now)
