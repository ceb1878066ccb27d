"""A line of the access log as values. Pure."""

import json
from typing import Any

import orjson


def parse(line: bytes) -> dict[str, Any]:
    """Read it.

    Raises:
        ValueError: it is no JSON object.
    """
    try:
        value = orjson.loads(line)
    except ValueError:
        value = _lenient(line)
    if not isinstance(value, dict):
        raise ValueError("not an object")
    return value


def _lenient(line: bytes) -> Any:
    """Half a surrogate pair is no Unicode, and no reason to lose a request."""
    try:
        return json.loads(line)
    except RecursionError:
        raise ValueError("nested too deep") from None
