"""Reads the access log as it grows, from where it stopped the last time.

    reader = LogReader(data / "access.log", data / "access.log.position", on_line)
    await reader.run()                      # until cancelled

Each whole line goes to `on_line` once, as bytes without the newline, in the order written, through rotations and
restarts. The position is saved after each batch of at most BATCH_BYTES. A process that is killed between handing a
batch on and saving gets that batch again; one that is cancelled gets nothing twice. What is no line (torn by a crash,
too long, refused by `on_line` with a ValueError) is counted by `on_garbage`, and reading goes on.
"""

import asyncio
import logging
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

from smallmodel_operator.gateway.accesslog.files import LogFile, first_after, inode_of, log_files
from smallmodel_operator.gateway.accesslog.position import HEAD_BYTES, FileStore, Position, Store, digest

BATCH_BYTES: Final = 128 * 1024
"""Read at a time, and the longest line taken: about 130 lines, a few milliseconds until others get their turn."""
POLL_SECONDS: Final = 0.2
BEGINS: Final = b'{"'
"""A line of the log."""
MOST_TRIES: Final = 32
"""Places of an unreadable line where another one may begin; texts that end so are among them."""

logger = logging.getLogger(__name__)


class LogReader:
    """One reader of one log. `on_garbage` gets the reason, a word."""

    def __init__(
        self,
        path: Path,
        store: Path | Store,
        on_line: Callable[[bytes], None],
        *,
        on_garbage: Callable[[str], None] = lambda _: None,
        poll_seconds: float = POLL_SECONDS,
        batch_bytes: int = BATCH_BYTES,
        at_most: Callable[[Position], int] = lambda _: sys.maxsize,
    ) -> None:
        """`at_most`: bytes to read from a position, the end of a line; for who wants to stop at another's."""
        self.path = path
        self.problem = ""
        """What keeps it from reading or saving now; empty: nothing."""
        self._store = FileStore(store) if isinstance(store, Path) else store
        self._on_line = on_line
        self._on_garbage = on_garbage
        self._poll_seconds = poll_seconds
        self._batch_bytes = batch_bytes
        self._at_most = at_most
        self._descriptor: int | None = None
        self._position: Position | None = None
        self._resumed = False
        self._unsaved = False

    async def run(self) -> None:
        """Read until cancelled. A disk that does not work is reported and tried again."""
        try:
            while True:
                more = self.attempt()
                await asyncio.sleep(0 if more else self._poll_seconds)
        finally:
            self.close()

    def attempt(self) -> bool:
        """A step; what fails is reported, and tried again by the next."""
        try:
            more = self.step()
            if not more and self._unsaved:
                self._save()
            self._trouble("")
        except OSError as error:
            more = False
            self._trouble(_trouble_of(error))
        return more

    def close(self) -> None:
        """Let go of the file; the position is saved already."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    @property
    def unread(self) -> int:
        """Bytes of the file being read that have not been handed on."""
        if self._position is None:
            return 0
        if self._descriptor is None and inode_of(self.path) != self._position.inode:
            return 0
        found = os.stat(self.path if self._descriptor is None else self._descriptor)
        return max(0, found.st_size - self._position.offset)

    @property
    def position(self) -> Position | None:
        """How far it has read; None: it has not begun."""
        return self._position

    @property
    def begun(self) -> bool:
        """Is it known what was kept of the last time?"""
        return self._resumed

    def move(self, position: Position) -> None:
        """Somebody else handed on all up to there: go on behind it. That it cannot be saved is reported."""
        self.close()
        self._position, self._resumed = position, True
        try:
            self._save()
            self._trouble("")
        except OSError as error:
            self._trouble(_trouble_of(error))

    def step(self) -> bool:
        """Hand on one batch; False: that was all there was when it was read.

        Who waits a moment then takes what comes meanwhile at once, instead of running after each few lines of it.

        Raises:
            OSError: reading or saving failed; what was handed on is not handed on again by this process.
        """
        if self._descriptor is None and not self._begin():
            return False
        size = min(self._batch_bytes, self._at_most(self._at))
        data = self._read(size)
        if self._take(data):
            return len(data) == size or inode_of(self.path) != self._at.inode
        following = self._following()
        if following is None:
            return False
        # Envoy closes the old file before it makes the new one: what is read now is the old one's last word.
        last = self._read(self._batch_bytes)
        if last != data:
            self._take(last)
            return True
        if last and not self._at.skipping:
            self._on_garbage("torn")
        self.sync()  # the next one reaches the next file only
        self.close()
        self._open(following)
        return True

    def sync(self) -> None:
        """Have what was read on the disk: who keeps more than the log after a crash would meet its lines again.

        Raises:
            OSError: the disk does not work.
        """
        if self._descriptor is not None:
            os.fdatasync(self._descriptor)

    # -- which file --------------------------------------------------------------------------------------------

    def _begin(self) -> bool:
        """Open the file to go on with; False: there is none yet."""
        if not self._resumed:
            try:
                self._position = self._store.load()
            except ValueError as error:
                logger.warning("%s; the log is read from its beginning, so requests may be counted again", error)
            self._resumed = True
        files = log_files(self.path)
        known = self._position
        if known is not None:
            # A claim that was copied, or comes from a backup, has other inodes: a file's beginning says which it is.
            for file in sorted(files, key=lambda file: file.inode != known.inode):
                if (file.inode == known.inode or known.head_bytes) and self._reopen(file, known):
                    return True
            self._on_garbage("missing")
        following = first_after(files, known.after if known else 0)
        if following is not None:
            self._open(following)
        return following is not None

    def _reopen(self, file: LogFile, known: Position) -> bool:
        descriptor = os.open(file.path, os.O_RDONLY | os.O_CLOEXEC)
        if not known.matches(descriptor):
            os.close(descriptor)
            return False
        self._descriptor, self._position = descriptor, replace(known, inode=file.inode)
        return True

    def _open(self, file: LogFile) -> None:
        self._descriptor = os.open(file.path, os.O_RDONLY | os.O_CLOEXEC)
        # Asked of what was opened: the name may have changed hands since it was looked at.
        self._position = Position(os.fstat(self._descriptor).st_ino, after=self._older_than(file))
        self._save()

    def _older_than(self, file: LogFile) -> int:
        numbers = [f.number for f in log_files(self.path) if f.number is not None]
        return file.number if file.number is not None else max(numbers, default=0)

    def _following(self) -> LogFile | None:
        """The file after the one being read; None: it is the newest."""
        known = self._at
        if inode_of(self.path) == known.inode:
            return None
        files = log_files(self.path)
        here = next((i for i, file in enumerate(files) if file.inode == known.inode), None)
        if here is None:
            self._on_garbage("missing")
            return first_after(files, known.after)
        return files[here + 1] if here + 1 < len(files) else None

    # -- lines -------------------------------------------------------------------------------------------------

    @property
    def _at(self) -> Position:
        assert self._position is not None
        return self._position

    def _read(self, size: int) -> bytes:
        assert self._descriptor is not None
        if not self._at.matches(self._descriptor):
            self._on_garbage("truncated")
            self._position = Position(self._at.inode, after=self._at.after)
        return os.pread(self._descriptor, size, self._at.offset)

    def _take(self, data: bytes) -> bool:
        """Hand on the whole lines in data; False: there is none."""
        end = data.rfind(b"\n") + 1
        skipping = self._at.skipping
        if not end:
            if len(data) < self._batch_bytes:
                return False
            if not skipping:
                self._on_garbage("too-long")
            self._advance(len(data), skipping=True)
            return True
        lines = data[: end - 1].split(b"\n")
        for line in lines[1:] if skipping else lines:
            try:
                self._on_line(line)
            except Exception as error:
                if not isinstance(error, ValueError) or not self._rest_of(line):
                    self._not_taken(error)
        self._advance(end, skipping=False)
        return True

    def _rest_of(self, line: bytes) -> bool:
        """A line that broke off, because Envoy was killed or the disk was full, and the one Envoy wrote behind it: that
        one is whole. False: there is none."""
        at = len(line)
        for _ in range(MOST_TRIES):
            # Within a line this stands in no text: its quote would have a backslash before it.
            at = line.rfind(BEGINS, 1, at)
            if at < 0:
                return False
            with suppress(ValueError):
                self._on_line(line[at:])
                self._on_garbage("torn")
                return True
        return False

    def _not_taken(self, error: Exception) -> None:
        if isinstance(error, ValueError):
            self._on_garbage("unreadable")
            logger.debug("not a line of the access log: %s", error)
            return
        # One line must not stop all that follow, now and after each restart.
        self._on_garbage("failed")
        logger.error("a line of the access log could not be counted", exc_info=error)

    def _advance(self, count: int, *, skipping: bool) -> None:
        assert self._descriptor is not None
        moved = replace(self._at, offset=self._at.offset + count, skipping=skipping)
        if moved.head_bytes < HEAD_BYTES:
            head = os.pread(self._descriptor, min(HEAD_BYTES, moved.offset), 0)
            moved = replace(moved, head_bytes=len(head), head=digest(head))
        self._position = moved
        self._save()

    def _save(self) -> None:
        self._unsaved = True
        self._store.save(self._at)
        self._unsaved = False

    def _trouble(self, problem: str) -> None:
        if problem and problem != self.problem:
            logger.error("%s", problem)
        self.problem = problem


def _trouble_of(error: OSError) -> str:
    return f"the access log cannot be read, or how far it was read cannot be saved: {error}"
