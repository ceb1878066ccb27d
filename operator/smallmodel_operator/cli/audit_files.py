"""Files of records as they lie in folders, whatever else lies there: nothing in them can hang a check or end it."""

import errno
import os
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from smallmodel_operator.audit.head import Head
from smallmodel_operator.audit.record import Record, read
from smallmodel_operator.audit.segment import first_of, named
from smallmodel_operator.audit.verify import HEAD

SEGMENT: Final = ".jsonl"
LONGEST: Final = 16 * 1024 * 1024
"""Bytes of a line that are looked at: no record is as long."""
_BESIDE: Final = frozenset({HEAD, "in-force.json"})
_DAMAGED: Final = ".damaged"
"""What an agent set aside, and says so in the chain."""


class NoRecords(Exception):  # noqa: N818 - says what is the matter
    """What was named holds no records, or cannot be read."""


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """A file to read.

    Raises:
        OSError: it cannot be read, or is no file: a pipe would have its reader wait for ever.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is no file")
    with os.fdopen(descriptor, "rb") as file:
        yield file


def lines_of(file: BinaryIO) -> Iterator[bytes]:
    """Lines with their newline; of one that is too long only the beginning."""
    while line := file.readline(LONGEST):
        if len(line) == LONGEST and not line.endswith(b"\n"):
            rest = line
            while rest and not rest.endswith(b"\n"):
                rest = file.readline(LONGEST)
            line += b"\n" if rest else b""
        yield line


@dataclass(frozen=True, slots=True)
class Chain:
    """The segments of one gateway, in order. `searched`: all that are in the folder, not those somebody named."""

    folder: Path
    segments: tuple[Path, ...]
    searched: bool = False

    @property
    def place(self) -> Path:
        """What a person calls it: the file, where one was named."""
        return self.segments[0] if len(self.segments) == 1 and not self.searched else self.folder

    def records(self, read_up: Callable[[Path], None] = lambda _: None) -> Iterator[tuple[Record | None, bytes]]:
        """Each line; None: it is no record. `read_up` is told of each segment when it is done.

        Raises:
            NoRecords: a segment cannot be read.
        """
        return ((record, line) for record, line, _ in self.placed(read_up))

    def placed(self, read_up: Callable[[Path], None] = lambda _: None) -> Iterator[tuple[Record | None, bytes, str]]:
        """The same, each with its file and line in words.

        Raises:
            NoRecords: a segment cannot be read.
        """
        for path in self.segments:
            try:
                with opened(path) as file:
                    for number, line in enumerate(lines_of(file), start=1):
                        yield _record(line), line, f"{path}:{number}"
            except OSError as error:
                raise NoRecords(f"{path} cannot be read: {why(error)}.") from None
            read_up(path)

    def head(self) -> Head | str | None:
        """The signed head; a text: why it is of no use."""
        try:
            with opened(self.folder / HEAD) as file:
                return Head.load(file.read(LONGEST))
        except FileNotFoundError:
            return None
        except OSError as error:
            return f"it cannot be read: {why(error)}"
        except ValueError as error:
            return str(error)

    @property
    def gateway(self) -> str:
        """Whose it is: as its head says, else after the folder it lies in."""
        head = self.head()
        if isinstance(head, Head) and head.gateway:
            return head.gateway
        return self.folder.resolve().parent.name if self.folder.name == "audit" else self.folder.resolve().name

    def again(self) -> tuple[Path, ...]:
        """The segments there are by now: a chain in use grows."""
        return _segments(self.folder, os.listdir(self.folder)) if self.searched else self.segments


def _record(line: bytes) -> Record | None:
    try:
        return read(line)
    except ValueError:
        return None


def why(error: OSError) -> str:
    """In the system's words."""
    return error.strerror or str(error)


def chains(names: list[str]) -> list[Chain]:
    """The chains in files and folders (searched to the bottom).

    Raises:
        NoRecords: there is none, or a folder cannot be looked into.
    """
    whole: dict[Path, tuple[Path, ...]] = {}
    named_files: dict[Path, set[Path]] = {}
    for name in names:
        path = Path(name)
        if path.is_dir():
            whole |= _search(path)
        elif path.name in _BESIDE or path.suffix == _DAMAGED:
            continue
        elif os.path.lexists(path):
            named_files.setdefault(path.parent, set()).add(path)
        else:
            raise NoRecords(
                f"{name} does not exist: name a folder `audit` of a gateway's claim, or files copied from it."
            )
    found = {folder: Chain(folder, segments, searched=True) for folder, segments in whole.items()}
    for folder, paths in named_files.items():
        if folder not in found:
            found[folder] = Chain(folder, _in_order(paths))
    if not found:
        raise NoRecords(
            f"no records in {', '.join(names)}: they are files like 00000000000000000001{SEGMENT} in the folder "
            "`audit` of a gateway's claim."
        )
    return [found[folder] for folder in sorted(found)]


def _search(root: Path) -> dict[Path, tuple[Path, ...]]:
    """A folder with a head and without a segment is a chain, too: one that somebody took away."""
    found = {}
    for folder, folders, files in os.walk(root, onerror=_cannot_look):
        segments = _segments(Path(folder), [*folders, *files])
        folders[:] = [name for name in folders if not name.endswith(SEGMENT)]
        if segments or HEAD in files:
            found[Path(folder)] = segments
    return found


def _segments(folder: Path, names: Iterable[str]) -> tuple[Path, ...]:
    return _in_order(folder / name for name in names if name.endswith(SEGMENT) and named(name))


def _in_order(paths: Iterable[Path]) -> tuple[Path, ...]:
    return tuple(sorted(paths, key=lambda path: (first_of(path.name), path.name)))


def _cannot_look(error: OSError) -> None:
    raise NoRecords(f"{error.filename} cannot be looked into: {why(error)}.") from None


@contextmanager
def progress(found: list[Chain]) -> Iterator[Callable[[Path], None]]:
    """A bar on the terminal, where there is one, over the bytes of these chains. What it gives is told of each segment
    that was read."""
    columns = (TextColumn("reading records"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("", total=sum(_size(path) for chain in found for path in chain.segments))
        yield lambda path: bar.advance(task, _size(path))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
