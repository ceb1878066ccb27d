"""A line of the access log as the body of a record. Pure."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from smallmodel_operator.audit.record import Kind, finish
from smallmodel_operator.gateway.accesslog.format import FIELDS
from smallmodel_operator.gateway.accesslog.line import parse

TYPES: Final = {name: field.json for name, field in FIELDS.items()}
ANSWER: Final = Kind.ANSWER.value
"""Not the member: an enumeration is slow to write."""
NEEDED: Final = ("time", "http.response.status_code")
SHAPES: Final = 256
"""Kinds of lines that are remembered."""


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
        value = parse(line)
    if type(value) is not dict:
        raise ValueError("not an object")
    names, types = tuple(value), tuple(map(type, value.values()))
    known = _shapes.get(names)
    if known is None or known[0] != types:
        known = types, _dropped_of(value)
        if len(_shapes) < SHAPES or names in _shapes:
            _shapes[names] = known
    for name in known[1]:
        del value[name]
    value["kind"] = ANSWER
    found: dict[str, Any] = value
    return found


_shapes: Final[dict[tuple[str, ...], tuple[tuple[type, ...], tuple[str, ...]]]] = {}
"""Of lines with these fields: the types of the newest of them, and the fields of it that are not recorded. Envoy writes
few kinds of lines, and to look at each field of each line would be most of the work."""


def _dropped_of(value: Mapping[str, Any]) -> tuple[str, ...]:
    kept = {k for k, v in value.items() if v is not None and type(v) is TYPES.get(k)}
    if missing := [name for name in NEEDED if name not in kept]:
        raise ValueError(f"it has no {missing[0]}")
    return tuple(k for k in value if k not in kept)


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
