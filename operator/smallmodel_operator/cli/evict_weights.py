"""`slm evict-weights`: the Job that removes unused weights from the claim, so that new ones find room."""

import fcntl
import json
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from smallmodel_operator.api.conditions import Reason
from smallmodel_operator.cli.inspect_weights import MESSAGE_FILE, write
from smallmodel_operator.core.units import human
from smallmodel_operator.weights import result
from smallmodel_operator.weights.evict import FOLDER, Stored, choose, with_parents
from smallmodel_operator.weights.source import DOWNLOADED

GOING: Final = ".evicted-"
"""What a folder is called while it is taken apart: a pod that ends in the middle leaves nothing that looks whole."""
LOCK: Final = ".lock"
NOTE: Final = f"{DOWNLOADED}.json"
"""Beside a file that was made: of what."""


def evict(
    root: Path,
    keep: frozenset[str],
    needed: int,
    before: float,
    message_file: Path = MESSAGE_FILE,
    free: Callable[[Path], int] = lambda root: shutil.disk_usage(root).free,
) -> int:
    """Remove what is unused until `needed` bytes are free; see `weights.evict.choose`. The exit code is the Job's."""
    try:
        _leftovers(root)
        keep = with_parents(stored(root), keep)
        gone = _make_room(root, keep, needed, before, free)
        unused = [s.size for s in stored(root) if s.folder not in keep and s.touched < before]
        said: result.Evicted | result.Failure = result.Evicted(
            tuple(s.folder for s in gone), sum(s.size for s in gone), sum(unused)
        )
    except OSError as error:
        said = result.Failure(Reason.CLAIM_FULL, f"The claim cannot be read or written: {error}.", passing=True)
    return write(said, message_file)


def _make_room(
    root: Path, keep: frozenset[str], needed: int, before: float, free: Callable[[Path], int]
) -> list[Stored]:
    """What went. Something that is taken while we look is left, and another one goes in its place."""
    gone: list[Stored] = []
    taken = set(keep)
    while chosen := choose(stored(root), frozenset(taken), needed, free(root), before):
        one = chosen[0]
        taken.add(one.folder)
        if _remove(root, one, before):
            gone.append(one)
            print(f"{one.folder} made room: {human(one.size)}", flush=True)
    return gone


def stored(root: Path) -> list[Stored]:
    """The folders of downloads, of made types and of conversions in the claim."""
    folders = [p for p in root.iterdir() if FOLDER.fullmatch(p.name) and p.is_dir() and not p.is_symlink()]
    return [Stored(p.name, _size(p), _touched(p), *_provenance(p)) for p in folders]


def _provenance(folder: Path) -> tuple[str, str]:
    """SHA-256 of what was made there, and of what or in which folder its parent is; empty where nothing is said."""
    try:
        said = json.loads((folder / NOTE).read_text())
        return str(said.get("sha256") or ""), str(said.get("from") or said.get("parent") or "")
    except (OSError, ValueError, AttributeError, RecursionError):
        return "", ""


def _size(folder: Path) -> int:
    """Of all files in it; what a quantization that broke off left lies a level deeper."""
    return sum(f.lstat().st_size for f in folder.rglob("*") if f.is_file() and not f.is_symlink())


def _touched(folder: Path) -> float:
    """A Job touches its lock when it begins and ends. Of a made type of an earlier release the folder itself tells."""
    lock = folder / LOCK
    return (lock if lock.exists() else folder).stat().st_mtime


def _remove(root: Path, one: Stored, before: float) -> bool:
    """Unless a Job works in it, or has since found it there."""
    folder, going = root / one.folder, root / f"{GOING}{one.folder}"
    _lockable(folder)
    with (folder / LOCK).open("a") as lock:  # "a": to open it is not to touch it
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"a Job works in {one.folder}; it stays", flush=True)
            return False
        if _touched(folder) >= before:
            print(f"{one.folder} is wanted again; it stays", flush=True)
            return False
        folder.rename(going)
    shutil.rmtree(going)
    return True


def _lockable(folder: Path) -> None:
    """An earlier release made types without a lock. To make one now is not to use the folder."""
    then = folder.stat().st_mtime
    with suppress(FileExistsError):
        (folder / LOCK).touch(exist_ok=False)
        os.utime(folder / LOCK, (then, then))


def _leftovers(root: Path) -> None:
    for left in root.glob(f"{GOING}*"):
        shutil.rmtree(left)
