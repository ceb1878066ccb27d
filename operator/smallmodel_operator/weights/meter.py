"""How far a download is, how fast, and whether it still moves. The clock is passed in; seconds everywhere."""

from collections import deque
from typing import Final

STALL_SECONDS: Final = 30.0
"""A connection that brings less than `STALL_BYTES` in this long is given up: it does not come back by waiting."""
STALL_BYTES: Final = 64 * 2**10
TELL_SECONDS: Final = 15.0
TELL_PERCENT: Final = 5
RATE_SECONDS: Final = 30.0
"""The speed is that of so many seconds, drops and pauses with them: what is left takes as long as it took so far."""


class Stall:
    """One connection: does it bring enough?"""

    def __init__(self, now: float, seconds: float = STALL_SECONDS, least: int = STALL_BYTES) -> None:
        self._since, self._bytes = now, 0
        self._seconds, self._least = seconds, least

    def stalled(self, got: int, now: float) -> bool:
        """Told of bytes that came; whether they are too few for the time."""
        self._bytes += got
        if now - self._since < self._seconds:
            return False
        few = self._bytes < self._least
        self._since, self._bytes = now, 0
        return few


class Meter:
    """The whole download, over all its connections."""

    def __init__(self, now: float, done: int = 0) -> None:
        self.done, self.total = done, 0
        self._points: deque[tuple[float, int]] = deque([(now, done)])
        self._told, self._told_percent = now, -TELL_PERCENT

    def at(self, done: int, total: int, now: float) -> None:
        """So many bytes are there now; fewer than before when it begins anew."""
        if done < self.done:
            self._points.clear()
        self.done, self.total = done, total
        # A point for each second is enough, and the list stays short however small the pieces are.
        if not self._points or now - self._points[-1][0] >= 1.0:
            self._points.append((now, done))
        while len(self._points) > 2 and now - self._points[1][0] >= RATE_SECONDS:
            self._points.popleft()

    @property
    def percent(self) -> int:
        return min(100, 100 * self.done // self.total) if self.total else 0

    def seconds_left(self, now: float) -> int | None:
        """At the speed of the last half minute; None when nothing can be said."""
        if not self.total or not self._points:
            return None
        (since, done), left = self._points[0], self.total - self.done
        if now - since < 1.0 or self.done <= done:
            return None if left else 0
        return round(left * (now - since) / (self.done - done))

    def due(self, now: float) -> bool:
        """Whether it is time for another line in the log: every 5 % or 15 s, and at the end."""
        whole = self.percent == 100 > self._told_percent
        if not whole and self.percent < self._told_percent + TELL_PERCENT and now - self._told < TELL_SECONDS:
            return False
        self._told, self._told_percent = now, self.percent
        return True
