"""The fence: no write leaves this process once its lease has run out, however long it was stopped."""

import time
from collections.abc import Callable


class NotLeader(Exception):  # noqa: N818 - a verdict, not a failure
    """A write was refused because this process may no longer act; another one may already."""


def boottime() -> float:
    """Seconds since boot, those included in which the machine itself was suspended (where the system counts them)."""
    clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return time.clock_gettime(clock)


class Fence:
    """Remembers until when writes are allowed, on a clock that also runs while the process or machine is stopped.

    A fence without election (`Fence.open()`) never closes: tests and one-shot commands.
    """

    def __init__(self, clock: Callable[[], float] = boottime) -> None:
        self._clock = clock
        self._until = float("-inf")

    @classmethod
    def open(cls) -> "Fence":
        fence = cls()
        fence._until = float("inf")
        return fence

    def extend(self, until: float) -> None:
        """Allow writes until this monotonic time; `until` counts from when the renewal was sent, not answered."""
        self._until = until

    def close(self) -> None:
        self._until = float("-inf")

    @property
    def remaining(self) -> float:
        """Seconds of permission left; negative when there is none."""
        return self._until - self._clock()

    def check(self) -> None:
        """Raise NotLeader unless writes are allowed right now."""
        if self.remaining <= 0:
            raise NotLeader("the lease has run out; this process must not write")
