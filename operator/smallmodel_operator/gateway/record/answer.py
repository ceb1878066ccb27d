"""A line of the access log as the body of a record. Pure."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from smallmodel_operator.audit.record import Kind, seal
from smallmodel_operator.gateway.accesslog.format import FIELDS

TYPES: Final = {name: field.json for name, field in FIELDS.items()}
NEEDED: Final = ("time", "http.response.status_code")


def stamp(at: datetime) -> str:
    """As the access log writes times."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def answer(line: bytes) -> dict[str, Any]:
    """What a line says: the fields that are known, of their type, null left out. Nothing else gets into a record.

    Raises:
        ValueError: it is no line of the access log.
    """
    try:
        value = orjson.loads(line)
    except ValueError:
        value = _lenient(line)
    if not isinstance(value, dict):
        raise ValueError("not an object")
    found: dict[str, Any] = {k: v for k, v in value.items() if v is not None and type(v) is TYPES.get(k)}
    if missing := [name for name in NEEDED if name not in found]:
        raise ValueError(f"it has no {missing[0]}")
    found["kind"] = Kind.ANSWER
    return found


def _lenient(line: bytes) -> Any:
    """Half a surrogate pair is no Unicode, and no reason to lose the record."""
    try:
        return json.loads(line)
    except RecursionError:
        raise ValueError("nested too deep") from None


def sealed(body: Mapping[str, Any], seq: int, prev: str) -> tuple[bytes, str]:
    """The line of a record and its hash, whatever its texts are."""
    try:
        return seal(body, seq, prev)
    except ValueError:
        whole = {k: v.encode("utf-8", "replace").decode() if isinstance(v, str) else v for k, v in body.items()}
        return seal(whole, seq, prev)
