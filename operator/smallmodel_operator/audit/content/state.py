"""What is left of stored content, by its record, its line and the keys. Pure.

Erased content keeps its line and its record: the chain stays whole, and a check goes on telling whether the line is the
one that was written. A key that is back after its erasure was recorded (from a backup) is named, too.
"""

from collections.abc import Collection, Mapping
from enum import StrEnum
from typing import Any, Final

from smallmodel_operator.audit.content.keyring import Keyring
from smallmodel_operator.audit.content.sealed import NotOpened, Sealed, digest, opened

ERASURE: Final = "erasure"
"""Event of the note that keys were destroyed."""


class State(StrEnum):
    """Of one request's content."""

    READABLE = "Readable"
    ERASED = "Erased"
    """Its key was destroyed, and a record says so."""
    UNRECORDED = "ErasedUnrecorded"
    """Its key was destroyed, and no record says so yet: the erasure was broken off."""
    BACK = "KeyIsBack"
    """A record says that its key was destroyed, and it is there."""
    LOST = "KeyLost"
    """Its key is not there, or another one stands in its place, and nobody erased it."""
    CHANGED = "Changed"
    """The line is not the one the record was made of."""
    MISSING = "Missing"
    """There is no line."""

    @property
    def good(self) -> bool:
        """As it should be."""
        return self in (State.READABLE, State.ERASED)


def state(reference: Mapping[str, Any], line: bytes | None, ring: Keyring, erased: Collection[str]) -> State:
    """Of the content that a record refers to. `erased`: names of the keys that records call destroyed."""
    if line is None:
        return State.MISSING
    if digest(line) != reference.get("slm.content.sha256"):
        return State.CHANGED
    try:
        sealed = Sealed.read(line)
        told = sealed.reference()
    except ValueError:
        return State.CHANGED
    if any(reference.get(name) != value for name, value in told.items()):
        return State.CHANGED
    key = ring.keys.get(sealed.key)
    if key is None:
        if sealed.key in erased:
            return State.ERASED
        return State.UNRECORDED if sealed.key in ring.erased else State.LOST
    try:
        opened(sealed, key)
    except NotOpened:
        return State.LOST
    return State.BACK if sealed.key in erased else State.READABLE
