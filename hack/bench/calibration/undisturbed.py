"""Time in which an engine could compute: the wall clock without the time its thread waited for a core of others.

A machine that is shared stops an engine for milliseconds to seconds, and a model of the engine knows nothing of that.
The kernel counts for each thread how long it was ready to run and did not (`/proc/PID/schedstat`, the second number);
llama.cpp with one thread computes in its first one.
"""

import asyncio
import threading
import time
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

from smallmodel_operator.cluster.engines import Engine, Timing

LOOK_SECONDS: Final = 0.02


def waited(process: int) -> float:
    """Seconds for which the first thread of a process has been ready and was kept from a core."""
    return int(Path(f"/proc/{process}/task/{process}/schedstat").read_text().split()[1]) / 1e9


class Clock:
    """Looks all the time, so that a moment that has passed can be told in engine time too."""

    def __init__(self, waited: Callable[[], float]) -> None:
        self._waited = waited
        self._walls, self._kept = [time.monotonic()], [waited()]
        self._ended = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "Clock":
        self._watcher.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._watcher.join()

    def look(self, wall: float | None = None) -> None:
        kept = self._waited()
        self._walls.append(time.monotonic() if wall is None else wall)
        self._kept.append(kept)

    def at(self, wall: float) -> float:
        """Engine time at a moment of the monotonic clock."""
        after = bisect_right(self._walls, wall)
        if after >= len(self._walls):
            return wall - self._kept[-1]
        if not after:
            return wall - self._kept[0]
        w0, w1, k0, k1 = *self._walls[after - 1 : after + 1], *self._kept[after - 1 : after + 1]
        return wall - (k0 + (k1 - k0) * (wall - w0) / (w1 - w0) if w1 > w0 else k1)

    def now(self) -> float:
        return self.at(time.monotonic())

    async def until(self, moment: float) -> None:
        """Sleep to a moment of engine time."""
        while (left := moment - self.now()) > 0:
            await asyncio.sleep(left)

    def _watch(self) -> None:
        while not self._ended.wait(LOOK_SECONDS):
            self.look()


class Undisturbed:
    """An engine whose answers are timed by such a clock."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self._engine, self.clock = engine, clock

    async def complete(self, prompt: str, tokens: int) -> Timing:
        """As `Engine.complete`."""
        said = await self._engine.complete(prompt, tokens)
        self.clock.look()
        asked, first, last = (self.clock.at(said.asked + t) for t in (0.0, said.first, said.last))
        return replace(said, asked=asked, first=first - asked, last=last - asked)
