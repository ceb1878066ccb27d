"""Folders that are made once for what goes into them, whole or not at all, however many programs ask at once."""

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

KEY = 16
"""Characters of a key."""

UNUSED_SECONDS = 3600
"""A folder made from other inputs goes when nobody asked for it that long: another build may still read it."""


def kept(base: Path, family: str, key: str, fill: Callable[[Path], None]) -> Path:
    """The folder base/family-key; `fill` is called with a new folder's path, which it makes, when there is none yet.

    What is there is never changed: whoever was given it reads it without a lock.
    """
    base.mkdir(parents=True, exist_ok=True)
    made = base / f"{family}-{key}"
    with (base / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            _clear(base, family)
            with tempfile.TemporaryDirectory(dir=base, prefix=".") as scratch:
                fill(Path(scratch) / "new")
                os.replace(Path(scratch) / "new", made)
        os.utime(made)
    return made


def _clear(base: Path, family: str) -> None:
    """Takes away what was interrupted, and what nobody uses any more. The caller holds the lock."""
    interrupted = [path for path in base.glob(".*") if path.is_dir()]
    other = (path for path in base.glob(f"{family}-{'?' * KEY}") if path.is_dir())
    unused = [path for path in other if time.time() - path.stat().st_mtime > UNUSED_SECONDS]
    for path in unused:  # under another name first: what is half gone must not be taken for whole
        interrupted.append(path.rename(base / f".{path.name}"))
    for path in interrupted:
        shutil.rmtree(path)
