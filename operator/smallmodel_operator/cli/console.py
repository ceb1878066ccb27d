"""Where commands write for people: folded to the width of a terminal, and as it is into a file or a pipe, where the
next program searches, counts and compares lines.
"""

import sys
from typing import Final

from rich.console import Console

UNFOLDED: Final = 100_000
"""Columns that nothing we print has."""


def stdout() -> Console:
    """Of results."""
    return Console(width=None if sys.stdout.isatty() else UNFOLDED)


def stderr() -> Console:
    """Of what is the matter."""
    return Console(stderr=True, width=None if sys.stderr.isatty() else UNFOLDED)


def sentence(error: Exception) -> str:
    """What is the matter; with a file, its name and the system's words, without its number."""
    if not isinstance(error, OSError) or not error.strerror:
        return str(error)
    return f"{error.filename} cannot be used: {error.strerror}" if error.filename else error.strerror


def failed(message: str) -> int:
    """Say why a command could not do what it was asked; its exit code."""
    stderr().print(message, style="red", markup=False)
    return 1
