"""A clock that stands still until it is told to move."""

import asyncio
import time
from collections.abc import Callable


class Clock:
    """A fake of `time.monotonic`: call it for the time in seconds."""

    def __init__(self) -> None:
        self._ahead = 0.0
        self._start = float(int(time.monotonic()))  # a whole number: sums of it stay exact

    def __call__(self) -> float:
        return self._start + self._ahead

    def forward(self, seconds: float) -> None:
        self._ahead += seconds


async def until(condition: Callable[[], object], seconds: float = 60) -> None:
    """Return when the condition holds; TimeoutError when it does not in time."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - any condition, not only one that sets an event
            await asyncio.sleep(0.005)
