"""How many requests are escalated: as large a share as the user set, spent where it helps most, and never more. Pure.

Times in seconds, from any clock that does not go back. Two things are held apart:

- the *threshold* follows the scores: it is the value that the wanted share of the latest scores lies above, so that it
  moves by itself when prompts become harder or easier;
- the *cap* does not trust the threshold. Each request earns `share` of an escalation, each escalation costs a whole
  one, and `BURST` is the most that is kept. So among any n requests in a row at most n * share + BURST are escalated,
  and never more than n * share of those since the last turn of the window.
"""

import math
from bisect import bisect_left, insort
from collections import deque
from dataclasses import dataclass
from typing import Final

BURST: Final = 5.0
"""Escalations in a row that patience earns: with fewer, most of the share is lost between the prompts that need it."""
LATEST: Final = 256
"""Scores the threshold is taken from."""
FEWEST: Final = 20
"""Scores from which they say something; before, the least score that is worth it decides alone."""


@dataclass(frozen=True, slots=True)
class Turn:
    """Whether to escalate this request, by which threshold, and what kept it (empty: nothing):
    `BelowThreshold` or `ShareSpent`."""

    escalate: bool
    threshold: float
    why: str = ""


class Share:
    """One route's escalations, in one process.

    Args:
        most_percent: of the requests, 0 to 100.
        window_seconds: after so long the count begins anew, and no more than the share of those in it is escalated.
        least_score: below it a request is never escalated, however much is left.
    """

    def __init__(self, most_percent: float, window_seconds: float, least_score: float = 0.0) -> None:
        if not 0.0 <= most_percent <= 100.0 or not window_seconds > 0.0:
            raise ValueError("a share is 0 to 100 percent, of a window longer than 0 seconds")
        self._share = most_percent / 100.0
        self._window = window_seconds
        self._least = least_score
        self._credit = 0.0
        self._turn = -math.inf
        self._seen = self._escalated = 0
        self._order: deque[float] = deque()
        self._sorted: list[float] = []

    def decide(self, score: float, now: float) -> Turn:
        """The decision on one request; it counts as made.

        A score that is no number is never escalated.
        """
        self._begin(now)
        threshold = self._threshold()
        self._remember(score)
        self._seen += 1
        self._credit = min(self._credit + self._share, max(BURST, self._share))
        if not score >= max(threshold, self._least):
            return Turn(False, threshold, "BelowThreshold")
        if self._credit < 1.0 - 1e-9 or self._escalated + 1 > self._share * self._seen + 1e-9:
            return Turn(False, threshold, "ShareSpent")
        self._credit -= 1.0
        self._escalated += 1
        return Turn(True, threshold)

    def _begin(self, now: float) -> None:
        turn = math.floor(now / self._window)
        if turn > self._turn:
            self._turn, self._seen, self._escalated = turn, 0, 0

    def _threshold(self) -> float:
        """Lower the more is left to spend, so that what the cap takes away, and what a drift costs, comes back."""
        if len(self._sorted) < FEWEST or self._share >= 1.0:
            return self._least
        wanted = min(1.0, self._share * (1.0 + 0.5 * self._credit / BURST))
        return max(self._least, self._sorted[min(len(self._sorted) - 1, int(len(self._sorted) * (1.0 - wanted)))])

    def _remember(self, score: float) -> None:
        if math.isnan(score):
            return
        self._order.append(score)
        insort(self._sorted, score)
        if len(self._order) > LATEST:
            del self._sorted[bisect_left(self._sorted, self._order.popleft())]
