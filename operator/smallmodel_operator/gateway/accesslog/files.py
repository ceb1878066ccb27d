"""The log and the files it was before: `access.log.1`, `access.log.2`, … in the order they were written.

Numbers only grow, and a file is renamed once in its life: which file follows which never changes.
"""

import re
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class LogFile:
    """One of the files. `number`: of a file set aside; None: the one that is written now."""

    path: Path
    inode: int
    number: int | None = None


def rotated(path: Path) -> list[tuple[int, Path]]:
    """Files set aside, oldest first.

    Raises:
        OSError: the folder cannot be listed.
    """
    pattern = re.compile(re.escape(path.name) + r"\.([1-9][0-9]{0,17})")
    found = ((match, item) for item in path.parent.iterdir() if (match := pattern.fullmatch(item.name)))
    return sorted((int(match[1]), item) for match, item in found)


def log_files(path: Path) -> list[LogFile]:
    """All files there are, oldest first.

    Raises:
        OSError: the folder cannot be listed.
    """
    found: list[LogFile] = []
    # The current one is looked at first: were it set aside in between, it would be there as its number, not missed.
    current = inode_of(path)
    for number, item in rotated(path):
        inode = inode_of(item)
        if inode is not None:
            found.append(LogFile(item, inode, number))
    if current is not None and current not in {f.inode for f in found}:
        found.append(LogFile(path, current))
    return found


def inode_of(path: Path) -> int | None:
    """None: there is no such file."""
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return None


def first_after(files: list[LogFile], number: int) -> LogFile | None:
    """The oldest file that is younger than those up to a number."""
    return next((file for file in files if file.number is None or file.number > number), None)
