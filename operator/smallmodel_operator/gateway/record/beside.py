"""What is kept of requests, in a file beside the segment that has their records: `<the segment's number>.content`.

It is encrypted (audit/content), written before the records that name it, and gone with them. How much of it a commit
vouches for stands in the word of the commit, so what a crash leaves after that is cut off at the next start.
"""

import os
from collections.abc import Collection
from pathlib import Path

from smallmodel_operator.audit.content.files import SUFFIX, content_of
from smallmodel_operator.audit.segment import named
from smallmodel_operator.gateway.files import sync_folder, write_fully


class Beside:
    """The one file that is written; there is none before the first content."""

    def __init__(self) -> None:
        self._path = Path()
        self._descriptor: int | None = None
        self._unsynced = False
        self.size = 0
        """Bytes that were written for certain."""

    def begin(self, segment: Path) -> None:
        """Of a segment that is new.

        Raises:
            OSError: what an earlier one of its number left cannot be removed.
        """
        self.close()
        self._path, self.size = content_of(segment), 0
        self._path.unlink(missing_ok=True)

    def reopen(self, segment: Path, size: int) -> None:
        """Of one that goes on. Where less is there than the last commit says, records name what is missing.

        Raises:
            OSError: it cannot be read or written.
        """
        self.close()
        self._path, self.size = content_of(segment), size
        if self._path.exists():
            self._descriptor = os.open(self._path, os.O_WRONLY | os.O_CLOEXEC)
            self.size = min(size, os.fstat(self._descriptor).st_size)
            self.cut()

    def write(self, data: bytes) -> None:
        """After what is there; it counts when `took` is called.

        Raises:
            OSError: it is not there; `cut` what is.
        """
        if not data:
            return
        if self._descriptor is None:
            self._descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            sync_folder(self._path.parent)
        write_fully(self._descriptor, data)
        self._unsynced = True

    def took(self, data: bytes) -> None:
        """It stays."""
        self.size += len(data)

    def cut(self) -> None:
        """What was written and does not stay is gone.

        Raises:
            OSError: it is not.
        """
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, self.size)
            os.lseek(self._descriptor, self.size, os.SEEK_SET)

    def sync(self) -> None:
        """Have it on the disk.

        Raises:
            OSError: it is not there.
        """
        if self._descriptor is not None and self._unsynced:
            os.fdatasync(self._descriptor)
            self._unsynced = False

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def tidy(folder: Path, segments: Collection[Path]) -> None:
    """Remove content whose segment is not there: it was being removed when the power failed.

    Raises:
        OSError: it cannot be.
    """
    there = {path.stem for path in segments}
    for path in folder.glob(f"*{SUFFIX}"):
        if named(path.name) and path.stem not in there:
            path.unlink(missing_ok=True)


def remove(segment: Path) -> None:
    """A segment, after what was kept beside it.

    Raises:
        OSError: it cannot be.
    """
    content_of(segment).unlink(missing_ok=True)
    segment.unlink()


def set_aside(segment: Path) -> None:
    """A segment that cannot be read, and what was kept beside it."""
    for path in (content_of(segment), segment):
        if os.path.lexists(path):
            path.rename(path.with_name(f"{path.name}.damaged"))


def size_of(segment: Path) -> int:
    """Bytes of a segment and what was kept beside it."""
    content = content_of(segment)
    return segment.stat().st_size + (content.stat().st_size if content.exists() else 0)
