"""Turns of one route's requests to be escalated: the share its user set, held over new configurations."""

import threading
import time
from collections.abc import Callable

from smallmodel_operator.routing.choice.share import Share, Turn
from smallmodel_operator.routing.policy import Escalate, Ready


class Turns:
    """One route's, in this process; large requests ask from threads."""

    def __init__(self, given: Escalate, clock: Callable[[], float] = time.monotonic) -> None:
        least = given.threshold if given.confidence is None else 1.0 - given.confidence.below
        self._share = Share(given.most_percent, given.window_seconds, least)
        self._terms, self._lock, self._clock = _terms(given), threading.Lock(), clock

    def __call__(self, score: float) -> Turn:
        """Whether a request with this score (how hard it is, or how doubtful its answer) is escalated; it counts as
        made."""
        with self._lock:
            return self._share.decide(score, self._clock())

    @classmethod
    def of(cls, ready: Ready, before: "Turns | None") -> "Turns | None":
        """Those of a policy: as they were before, where its terms are the same; None: nothing is scored."""
        given = ready.policy.escalation
        if given is None or (ready.hard is None and given.confidence is None):
            return None
        return before if before and before._terms == _terms(given) else cls(given)


def _terms(given: Escalate) -> tuple[object, ...]:
    """Scores of another classifier are of another scale."""
    return given.most_percent, given.window_seconds, given.threshold, given.classifier, given.confidence
