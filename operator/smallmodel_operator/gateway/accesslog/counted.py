"""Which lines of the access log are in the metrics.

They are read here, or by who records them: where both have come equally far, one reading of a line serves both, which
is a third of what recording costs. Who is behind reads on alone until they meet. So the metrics go on when recording
fails or has not begun, and no line counts twice when it goes on.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from smallmodel_operator.gateway.accesslog.line import parse
from smallmodel_operator.gateway.accesslog.metrics import GARBAGE, LINES, RequestMetrics
from smallmodel_operator.gateway.accesslog.objectives import Objectives
from smallmodel_operator.gateway.accesslog.observe import observe
from smallmodel_operator.gateway.accesslog.position import Position
from smallmodel_operator.gateway.accesslog.read import POLL_SECONDS, LogReader
from smallmodel_operator.gateway.accesslog.recent import Recent
from smallmodel_operator.gateway.accesslog.usage import Usages

LOG: Final = "access.log"
POSITION: Final = "access.log.position"
LAST_SECONDS: Final = 2.0
"""To end a step that is under way; who hangs longer ends with the process."""
FOLLOW_SECONDS: Final = 3.0
"""The log is not read here for so long after somebody else was seen reading it at the same place."""

logger = logging.getLogger(__name__)


class Counted:
    """The lines of the log in a folder that metrics have counted. For three threads: the agent's, the recorder's, and
    that it reads in."""

    def __init__(
        self,
        folder: Path,
        metrics: RequestMetrics,
        *,
        position: str = POSITION,
        clock: Callable[[], float] = time.monotonic,
        today: Callable[[], float] = time.time,
    ) -> None:
        """`clock`: in seconds, only grows; `today`: seconds since 1970."""
        self.metrics = metrics
        self.objectives, self.recent = Objectives(), Recent()
        self.left: Callable[[str, int], None] = lambda target, status: None
        """Is told what came of each request that left."""
        self.usages = Usages(folder / position, today)
        self._reader = LogReader(folder / LOG, self.usages, lambda line: self._add(parse(line)), on_garbage=_torn)
        self._clock = clock
        self._lock = threading.Lock()
        self._follows = False
        self._followed = float("-inf")
        self._unread = 0

    async def run(self) -> None:
        """Count until cancelled. In a thread: a claim that hangs holds up whoever writes a position to it, and must not
        hold up decisions and callers."""
        try:
            while True:
                more = await asyncio.to_thread(self.step)
                await asyncio.sleep(0 if more else POLL_SECONDS)
        finally:
            if self._lock.acquire(timeout=LAST_SECONDS):
                self._reader.close()
                self._lock.release()

    def step(self) -> bool:
        """Count one batch, if nobody else reads it; True: there may be more."""
        with self._unless_busy() as free:
            return free and self._clock() - self._followed > FOLLOW_SECONDS and self._reader.attempt()

    def keep_only(self, targets: frozenset[str]) -> None:
        """Drop the series of models (`<namespace>/<name>`) that are gone, unless the log is just being read."""
        with self._unless_busy() as free:
            if free:
                self.metrics.keep_only(targets)
                self.usages.keep_only(targets)

    def usage(self) -> dict[str, Any] | None:
        """Requests and tokens by model; None: the log is being read just now."""
        with self._unless_busy() as free:
            return self.usages.report() if free and self._reader.begun else None

    @property
    def unread(self) -> int:
        """Bytes of the file being read that were not counted when it was last asked with nobody reading."""
        with self._unless_busy() as free:
            if free:
                self._unread = self._reader.unread
            return self._unread

    @contextmanager
    def _unless_busy(self) -> Iterator[bool]:
        """False: the other thread is at it, perhaps waiting for a disk. The agent's must not wait with it."""
        free = self._lock.acquire(blocking=False)
        try:
            yield free
        finally:
            if free:
                self._lock.release()

    @property
    def problem(self) -> str:
        """What keeps it from reading or saving now; empty: nothing."""
        return self._reader.problem

    # -- for who reads the same log ----------------------------------------------------------------------------

    @contextmanager
    def following(self, at: Position | None) -> Iterator[None]:
        """Somebody reads on from a position. If all before it is counted, and nothing behind it, then `count`,
        `garbage` and `passed` have their effect within; else they have none."""
        with self._lock:
            self._follows = at is not None and _place(at) == _place(self._reader.position)
            try:
                yield
            finally:
                if self._follows:
                    self._followed = self._clock()
                self._follows = False

    def count(self, line: Any) -> None:
        """A `Line` was read. What goes wrong here is not its reader's trouble."""
        if not self._follows:
            return
        try:
            self._add(line)
        except Exception as error:  # a bug: the next lines are counted all the same
            GARBAGE.labels("failed").inc()
            logger.error("a line of the access log could not be counted", exc_info=error)

    def garbage(self, reason: str) -> None:
        """Something was read that is no line."""
        if self._follows:
            _torn(reason)

    def passed(self, position: Position) -> None:
        """All up to there was handed on."""
        if self._follows:
            self._reader.move(position)

    def beyond(self, at: Position) -> int | None:
        """Bytes from a position to the one up to which all is counted, the end of a line; None: it is not ahead in
        the same file."""
        mine = self._reader.position
        if mine is None or mine.inode != at.inode or mine.skipping or mine.offset <= at.offset:
            return None
        return mine.offset - at.offset

    def _add(self, line: Any) -> None:
        seen = observe(line)
        self.metrics.record(seen)
        self.objectives.record(seen)
        self.recent.record(seen)
        self.usages.add(seen, line.time)
        if line.slm_left:
            self.left(line.slm_left, seen.status)
        LINES.inc()


def _place(position: Position | None) -> tuple[int, int, bool] | None:
    return None if position is None else (position.inode, position.offset, position.skipping)


def _torn(reason: str) -> None:
    GARBAGE.labels(reason).inc()
