"""Requests that come back from pods that end: let go again a few times, and not for ever. Pure: the time is passed in.

Whose pod ends before it answered is held for the next pod. That is right when somebody killed the pod, and wrong when
the request did: each engine after that would end with it, and nobody else's request would be answered any more.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

MOST: Final = 2
"""Times a request is let go to a pod after there was none. A model that slept ends twice under one request, one that
was awake three times, before the request is refused."""
KEPT: Final = 10_000
"""Requests remembered at a time."""
SECONDS: Final = 900.0
"""How long one is: longer than a kubelet waits before it starts an engine again that ends each time."""


@dataclass(frozen=True, slots=True)
class Sending:
    """One sending of a request by its Envoy. `attempt` grows while it is the same request: identifiers may come from
    callers, who give several requests the same."""

    request: str = ""
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class _Past:
    attempt: int
    times: int
    at: float


class Returns:
    """How often each request of each target was let go after it found no pod."""

    def __init__(self) -> None:
        self._past: OrderedDict[tuple[str, str], _Past] = OrderedDict()

    def __len__(self) -> int:
        return len(self._past)

    def too_many(self, target: str, sending: Sending, now: float) -> bool:
        """Was it let go as often as it may be, and every pod it went to is gone?"""
        return self._times(target, sending, now) >= MOST

    def let_go(self, target: str, sending: Sending, now: float) -> None:
        """It goes to a pod."""
        if sending.request:
            times = self._times(target, sending, now) + 1
            self._past[target, sending.request] = _Past(sending.attempt, times, now)
            self._past.move_to_end((target, sending.request))
            oldest = next(iter(self._past.values()))
            if len(self._past) > KEPT or now - oldest.at > SECONDS:
                self._past.popitem(last=False)

    def _times(self, target: str, sending: Sending, now: float) -> int:
        past = self._past.get((target, sending.request))
        if past is None or sending.attempt <= past.attempt or now - past.at > SECONDS:
            return 0
        return past.times
