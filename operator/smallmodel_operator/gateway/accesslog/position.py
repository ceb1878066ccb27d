"""How far the log was read, kept over restarts."""

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Protocol

HEAD_BYTES: Final = 1024
"""So much of a file's beginning tells it from another one that got the same inode. A line has a request id in it."""


@dataclass(frozen=True, slots=True)
class Position:
    """All before `offset` in the file `inode` has been handed on, and everything in older files.

    `head` is the SHA-256 of the file's first `head_bytes`; `after` the highest number of an older file; `skipping`:
    the middle of a line that is too long.
    """

    inode: int
    offset: int = 0
    head_bytes: int = 0
    head: str = ""
    after: int = 0
    skipping: bool = False

    @classmethod
    def of(cls, value: Any) -> "Position | None":
        """As `asdict` wrote it; None: it is none."""
        try:
            return cls(**value) if value else None
        except TypeError:
            return None

    def matches(self, descriptor: int) -> bool:
        """Is this still the file it was, with nothing taken away?"""
        if os.fstat(descriptor).st_size < self.offset:
            return False
        return digest(os.pread(descriptor, self.head_bytes, 0)) == (self.head or digest(b""))


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def load(path: Path) -> Position | None:
    """The position kept; None: there is none.

    Raises:
        ValueError: what is there is no position.
        OSError: it cannot be read.
    """
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return None
    try:
        value = json.loads(text)
    except ValueError as error:
        raise ValueError(f"{path.name} is not a position in a log: {error}") from None
    return position_of(path.name, value)


def position_of(name: str, value: Any) -> Position:
    """The position in the JSON of a file.

    Raises:
        ValueError: it is none.
    """
    try:
        found = Position(**value)
    except TypeError as error:
        raise ValueError(f"{name} is not a position in a log: {error}") from None
    numbers = (found.inode, found.offset, found.head_bytes, found.after)
    if not all(type(n) is int and n >= 0 for n in numbers) or not isinstance(found.head, str):
        raise ValueError(f"{name} is not a position in a log: {json.dumps(value)[:200]}")
    return found


def save(path: Path, position: Position) -> None:
    """Replace it at once: who reads sees the old one or the new one.

    Raises:
        OSError: the disk is full or not writable; the old one is untouched.
    """
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_text(json.dumps(asdict(position)))
    os.replace(temporary, path)


class Store(Protocol):
    """Where a reader keeps its position."""

    def load(self) -> Position | None:
        """The one kept last; None: there is none. Raises ValueError or OSError when it cannot be read."""

    def save(self, position: Position) -> None:
        """Keep it. Raises OSError when it cannot be kept; it is then tried again."""


class FileStore:
    """A position in a file of its own."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> Position | None:
        return load(self._path)

    def save(self, position: Position) -> None:
        save(self._path, position)
