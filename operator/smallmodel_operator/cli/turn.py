"""Whose turn it is in a folder of the claim: one pod at a time, and in a pause of its own another one may go on."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final, TextIO, TypeVar

from smallmodel_operator.cli.evict_weights import LOCK
from smallmodel_operator.cli.transfer import Edge

T = TypeVar("T")
STILL_SECONDS: Final = 60.0
"""A folder that has not changed for so long is nobody's turn: who brings something brings it sooner."""

Contents = frozenset[tuple[str, int, int, int]]


class Displaced(Exception):  # noqa: N818  # it is no failure
    """Another pod went on with the folder in a pause of this one: what is known of its files is so no more."""


@dataclass(frozen=True, slots=True)
class Turn:
    """The folder's lock, held."""

    folder: Path
    lock: TextIO

    def aside(self, sleep: Callable[[float], None], seconds: float) -> None:
        """Give the lock back for a pause.

        Raises:
            Displaced: another pod has written to the folder meanwhile, or removed it.
        """
        before = _contents(self.folder)
        fcntl.flock(self.lock, fcntl.LOCK_UN)
        sleep(seconds)
        _take(self.lock)
        if not _is(self.lock, self.folder / LOCK) or _contents(self.folder) != before:
            raise Displaced


def in_turn(folder: Path, edge: Edge, work: Callable[[Edge], T]) -> T:
    """Do the work alone in the folder. In a pause after a try that brought nothing another pod may go on with what is
    there; then the work begins again, with what that one left, when it brings nothing more.
    """
    while True:
        with alone(folder) as turn, suppress(Displaced):
            return work(replace(edge, aside=partial(turn.aside, edge.sleep)))
        print("another pod goes on with these weights", flush=True)
        _let_be(folder, edge.sleep)


@contextmanager
def alone(folder: Path) -> Iterator[Turn]:
    """In the folder, with its lock: two pods that want the same file download it once, and none is evicted meanwhile.

    The lock is touched at both ends: what was used a moment ago makes no room for others.
    """
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / LOCK).open("a") as lock:
            _take(lock)
            if not _is(lock, folder / LOCK):
                continue  # the folder was evicted while we waited for it
            os.utime(lock.fileno())
            try:
                yield Turn(folder, lock)
            finally:
                os.utime(lock.fileno())
            return


def _let_be(folder: Path, sleep: Callable[[float], None]) -> None:
    """Until nothing has come for a while. Whoever is at it holds the lock all the same while something comes."""
    before: Contents | None = None
    while (now := _contents(folder)) != before:
        before = now
        sleep(STILL_SECONDS)


def _contents(folder: Path) -> Contents:
    """What tells whether anything was written: name, inode, bytes and time of each file."""
    found = set()
    for file in folder.rglob("*"):
        with suppress(FileNotFoundError):  # whoever's turn it is may rename it now
            stat = file.lstat()
            if file.name != LOCK and not file.is_dir():
                found.add((str(file.relative_to(folder)), stat.st_ino, stat.st_size, stat.st_mtime_ns))
    return frozenset(found)


def _is(lock: TextIO, path: Path) -> bool:
    return path.exists() and os.path.samestat(os.fstat(lock.fileno()), path.stat())


def _take(lock: TextIO) -> None:
    """Hold the folder's lock: two pods that want the same file download it once."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print("another pod downloads the same file; waiting for it", flush=True)
        fcntl.flock(lock, fcntl.LOCK_EX)
