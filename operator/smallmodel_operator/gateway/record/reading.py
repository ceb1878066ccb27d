"""The access log read for a recorder, and with it for the metrics. Everything here runs in the recorder's thread."""

import sys
from pathlib import Path

from smallmodel_operator.gateway.accesslog.counted import Counted
from smallmodel_operator.gateway.accesslog.line import parse
from smallmodel_operator.gateway.accesslog.position import Position
from smallmodel_operator.gateway.accesslog.read import LogReader
from smallmodel_operator.gateway.record.recorder import Recorder


class Reading:
    """Of one log. It is the `Store` of its reader: a position is kept by the recorder, in its commits."""

    def __init__(self, log: Path, recorder: Recorder, counted: Counted, batch_bytes: int) -> None:
        self._recorder, self._counted = recorder, counted
        self._synced: Position | None = None
        self._reader = LogReader(
            log, self, self._on_line, on_garbage=self._on_garbage, batch_bytes=batch_bytes, at_most=self._at_most
        )

    def step(self) -> bool:
        """Hand on one batch; False: there is nothing more to read now.

        Raises:
            OSError: reading failed.
        """
        with self._counted.following(self._recorder.position):
            return self._reader.step()

    def sync(self) -> None:
        """Have what was read on the disk, unless nothing was since.

        Raises:
            OSError: the disk does not work.
        """
        if self._recorder.position != self._synced:
            self._reader.sync()
            self._synced = self._recorder.position

    @property
    def unread(self) -> int:
        """Bytes of the file being read that have not been handed on."""
        return self._reader.unread

    def close(self) -> None:
        self._reader.close()

    # -- the Store of the reader -------------------------------------------------------------------------------

    def load(self) -> Position | None:
        """How far the log was read when the last commit was made."""
        return self._recorder.position

    def save(self, position: Position) -> None:
        """What was read up to here is committed by the next commit, with the position."""
        self._recorder.read_up_to(position)
        self._counted.passed(position)

    def _on_line(self, line: bytes) -> None:
        found = parse(line)
        self._recorder.take(found)  # refuses what is no line: then it does not count, either
        self._counted.count(found)

    def _on_garbage(self, reason: str) -> None:
        self._recorder.on_garbage(reason)
        self._counted.garbage(reason)

    def _at_most(self, at: Position) -> int:
        return self._counted.beyond(at) or sys.maxsize
