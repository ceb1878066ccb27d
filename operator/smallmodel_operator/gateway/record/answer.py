"""A line of the access log as the body of a record. Pure."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from msgspec import UNSET

from smallmodel_operator.audit.record import Kind, closed, finish
from smallmodel_operator.gateway.accesslog.line import TIME, write

ANSWER: Final = Kind.ANSWER.value
"""Not the member: an enumeration is slow to write."""


def stamp(at: datetime) -> str:
    """As the access log writes times."""
    return at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def answer(found: Any) -> Any:
    """What a `Line` says: the fields that are known. Nothing else gets into a record.

    Raises:
        ValueError: it does not say when.
    """
    if found.time is UNSET:
        raise ValueError(f"it has no {TIME}")
    found.kind = ANSWER
    return found


def sealed_answer(found: Any, seq: int, prev: str) -> tuple[bytes, str]:
    """The record's line and its hash. It gets its number and the hash before it."""
    found.seq, found.prev = seq, prev
    return closed(write(found))


def sealed(body: dict[str, Any], seq: int, prev: str) -> tuple[bytes, str]:
    """The line of a record and its hash, whatever its texts are. The body gets its number and the hash before it."""
    body["seq"], body["prev"] = seq, prev
    try:
        return finish(body)
    except ValueError:
        return finish(unicode(body))


def unicode(body: Mapping[str, Any]) -> dict[str, Any]:
    """The body with texts that can be written: half a surrogate pair becomes a question mark."""
    return {k: v.encode("utf-8", "replace").decode() if isinstance(v, str) else v for k, v in body.items()}
