"""The files of a chain: `<number of the first record>.jsonl`, each appended to and synced, then left as it is. None
holds records of two days, for old ones are removed by whole files.

A commit is what one `append` brought. What a crash leaves after the last whole commit is cut off at the next start: it
was never said to be recorded, and the log it came from is read again from where the commit says.
"""

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from smallmodel_operator.audit.record import COMMIT, CONTENT, ORIGIN, read
from smallmodel_operator.audit.segment import named
from smallmodel_operator.gateway.files import sync_folder, write_fully
from smallmodel_operator.gateway.record.answer import stamp
from smallmodel_operator.gateway.record.beside import Beside, remove, set_aside, size_of, tidy

SUFFIX: Final = ".jsonl"
DAY: Final = len("2026-11-21")
CONTENT_BYTES: Final = 64 * 1024 * 1024
"""What is kept beside a segment until the next one begins: old content goes with its segment."""


@dataclass(frozen=True, slots=True)
class Found:
    """What was found at the start: the last commit, and what was cut off after it."""

    seq: int = 0
    hash: str = ORIGIN
    commit: dict[str, Any] | None = None
    dropped_bytes: int = 0
    dropped_records: int = 0
    set_aside: tuple[str, ...] = ()
    """Segments without any commit that can be read; renamed, never removed."""


def segments(folder: Path) -> list[Path]:
    """The segments there are, oldest first.

    Raises:
        OSError: the folder cannot be listed.
    """
    found = (path for path in folder.iterdir() if path.suffix == SUFFIX and named(path.name))
    return sorted(found, key=lambda path: named(path.name))


def ended(folder: Path, before: datetime) -> bool:
    """Was the newest segment, too, last written before then?"""
    found = segments(folder)
    return bool(found) and found[-1].stat().st_mtime < before.timestamp()


def first_of(folder: Path) -> int:
    """Number of the first record that is still there; 1: there is none."""
    found = segments(folder)
    return int(found[0].stem) if found else 1


def beginning(path: Path) -> tuple[int, str]:
    """Number of a segment's first record, and the hash of the one before it; from its name where it cannot be read."""
    with path.open("rb") as file:
        try:
            record = read(file.readline())
        except ValueError:
            return named(path.name), ""
    return record.seq, record.prev


class Segments:
    """The segments of one folder, one writer."""

    def __init__(
        self, folder: Path, segment_bytes: int, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self.folder = folder
        self._clock = clock
        self._day = ""
        """Of the last commit, as records write it (UTC)."""
        self._segment_bytes = segment_bytes
        self._descriptor: int | None = None
        self._size = 0
        self._unsure = False
        """A write failed, and what it left may still be there."""
        self._unsynced = False
        self._beside = Beside()

    def open(self, known: int = 0) -> Found:
        """Find the last commit and be ready to append after it. `known`: number of a record that was committed for
        certain; zeros in what comes after it are what a node leaves that lost its power, and no damage.

        Raises:
            OSError: the folder cannot be made, read or written.
        """
        self.close()
        self.folder.mkdir(parents=True, exist_ok=True)
        sync_folder(self.folder.parent)
        tidy(self.folder, segments(self.folder))
        aside: list[str] = []
        cut_bytes = cut_records = 0
        for path in reversed(segments(self.folder)):
            whole = path.is_file()
            end, last = _last_commit(path, known) if whole else (0, None)
            rest = path.read_bytes()[end:] if whole else b""
            torn = b"\0" in rest and named(path.name) > known
            if not whole or (last is None and _damaged(rest) and not torn):
                set_aside(path)
                aside.append(path.name)
                continue
            cut_bytes, cut_records = cut_bytes + len(rest), cut_records + rest.count(b"\n")
            if last is not None:
                self._day = str(last.get("time", ""))[:DAY]
                self._reopen(path, end, last[COMMIT])
                return Found(last["seq"], last["hash"], last[COMMIT], cut_bytes, cut_records, tuple(aside))
            remove(path)  # its first commit was cut short
        return Found(dropped_bytes=cut_bytes, dropped_records=cut_records, set_aside=tuple(aside))

    def _reopen(self, path: Path, end: int, commit: Mapping[str, Any]) -> None:
        self._beside.reopen(path, found if type(found := commit.get(CONTENT)) is int else 0)
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        os.ftruncate(self._descriptor, end)
        os.lseek(self._descriptor, end, os.SEEK_SET)
        os.fsync(self._descriptor)
        self._size = end

    def ready(self, first: int) -> int:
        """Begin another segment where it is time to, with the record `first`; bytes of the content beside it.

        Raises:
            OSError: it cannot be made.
        """
        today = stamp(self._clock())[:DAY]
        full = self._size >= self._segment_bytes or self._beside.size >= CONTENT_BYTES
        if self._descriptor is None or full or self._day != today:
            self._begin(first)
            self._day = today
        return self._beside.size

    def append(self, data: bytes, first: int, *, content: bytes = b"", sync: bool = True) -> None:
        """Commit: when it returns, the data is on the disk. `first`: number of the first record in it.

        Args:
            content: what these records name, written before them.
            sync: else it is in the file, where the end of this process leaves it, and on the disk by the next `sync`.

        Raises:
            OSError: it is not; nothing of it stays, and it can be tried again.
        """
        self.ready(first)
        assert self._descriptor is not None
        if self._unsure:
            self._cut(self._descriptor)
        try:
            self._beside.write(content)
            write_fully(self._descriptor, data)
            self._unsynced = True
            if sync:
                self.sync()
        except OSError:
            self._unsure = True
            # A disk that takes nothing may not even take that; it is done before the next try, then.
            with suppress(OSError):
                self._cut(self._descriptor)
            raise
        self._size += len(data)
        self._beside.took(content)

    def sync(self) -> None:
        """Have on the disk what was appended.

        Raises:
            OSError: it is not there.
        """
        self._beside.sync()
        if self._descriptor is not None and self._unsynced:
            os.fdatasync(self._descriptor)
            self._unsynced = False

    def _cut(self, descriptor: int) -> None:
        self._beside.cut()
        os.ftruncate(descriptor, self._size)
        os.lseek(descriptor, self._size, os.SEEK_SET)
        self._unsure = False

    def _begin(self, first: int) -> None:
        self.sync()
        path = self.folder / f"{first:020d}{SUFFIX}"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o640)
        self.close()
        self._descriptor, self._size, self._unsure = descriptor, 0, False
        self._beside.begin(path)
        sync_folder(self.folder)

    def close(self) -> None:
        self._beside.close()
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def old(self) -> list[Path]:
        """Those that are not written any more, oldest first."""
        return segments(self.folder)[:-1]

    def size(self) -> int:
        """Bytes of all of them, and of what is kept beside them."""
        return sum(map(size_of, segments(self.folder)))


def _damaged(data: bytes) -> bool:
    """Is there a whole line that is no record? A crash leaves a piece of one only, at the end."""
    for line in data.splitlines(keepends=True):
        try:
            if line.endswith(b"\n") and not read(line).intact:
                return True
        except ValueError:
            return True
    return False


def _last_commit(path: Path, known: int) -> tuple[int, dict[str, Any] | None]:
    """Where the last commit of a segment ends, and its last record with its hash; None: there is none.

    One with zeros in it, after all that was committed for certain, does not count: its end reached the disk, and the
    rest of it did not. Only the very last one can be such.
    """
    at, end, last = 0, 0, None
    zeros = doubt = False
    with path.open("rb") as file:
        for line in file:
            at += len(line)
            zeros = zeros or b"\0" in line
            if b'"commit":' not in line or not line.endswith(b"\n"):
                continue
            try:
                record = read(line)
            except ValueError:
                continue
            if not record.intact or not isinstance(record.body.get(COMMIT), dict):
                continue
            doubt, zeros = zeros and not doubt and record.seq > known, False
            if not doubt:
                end, last = at, {**record.body, "hash": record.hash}
    return end, last
