"""Names of the files of a chain: `<number of the first record>.jsonl`. Pure."""

from pathlib import PurePath


def named(name: str) -> int:
    """The number of a segment's first record, from its name; 0 when the name says none."""
    stem = PurePath(name).stem
    return int(stem) if stem.isascii() and stem.isdigit() else 0


def first_of(name: str) -> int:
    """The same; 1 when the name says none."""
    return max(1, named(name))
