"""What a table of objects is made of."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Case:
    """One object and what is said about it."""

    name: str
    obj: dict[str, Any]
    server: str = ""
    lint: str = ""
