"""What a validation rule is: CEL for the API server and its Python twin for `slm lint`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Value = Any
"""A piece of a user's object: plain JSON, possibly of the wrong shape."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. `holds` is the twin of `cel`; `says` that of `expression`, for a message that needs values."""

    kind: str
    at: str
    cel: str
    field: str
    message: str
    holds: Callable[[Value], bool]
    expression: str = ""
    says: Callable[[Value], str] | None = None


@dataclass(frozen=True, slots=True)
class ChangeRule:
    """A rule about a change: its CEL sees `oldSelf`, too. No twin: a manifest does not know what it replaces."""

    kind: str
    at: str
    cel: str
    message: str


@dataclass(frozen=True, slots=True)
class Violation:
    """What is wrong in an object and where."""

    field: str
    message: str
