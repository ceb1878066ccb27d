"""A tool that has to be called (`tool_choice`): which may be, and how the same is asked for by a JSON schema. Pure."""

import json
from collections.abc import Iterator
from typing import Any, Final

from smallmodel_operator.routing.detect.decide import MOST_BYTES
from smallmodel_operator.routing.detect.request import read
from smallmodel_operator.routing.tools.conversation import Conversation

REQUIRED: Final = "required"
MOST_SCHEMA: Final = 16 * 1024
"""Bytes of what is asked beside the body; it goes through a header."""
_ANY: Final = {"type": "object"}


def demanded(found: Conversation) -> frozenset[str]:
    """Names of the tools of which a request demands that one is called; none: it demands nothing."""
    if found.named:
        return frozenset({found.chosen})
    return frozenset(tool.name for tool in found.offered) if found.chosen == REQUIRED else frozenset()


def by_schema(body: bytes, names: frozenset[str]) -> str:
    """Members of a chat's JSON object by which the engine writes one call of these tools as JSON, in ASCII; empty: they
    would be too long.

    Raises:
        Unread: the body is no JSON.
    """
    calls = [_call(tool["function"]) for tool in _offered(read(body, MOST_BYTES)) if tool["function"]["name"] in names]
    schema = calls[0] if len(calls) == 1 else {"anyOf": calls}
    asked = {
        "tool_choice": "none",
        "response_format": {"type": "json_schema", "json_schema": {"name": "call", "strict": True, "schema": schema}},
    }
    members = json.dumps(asked, separators=(",", ":"))[1:-1]
    return members if len(members) <= MOST_SCHEMA else ""


def _offered(body: dict[str, Any]) -> Iterator[Any]:
    """Of a body that was checked before."""
    yield from body.get("tools") or ()


def _call(function: dict[str, Any]) -> dict[str, Any]:
    given = function.get("parameters")
    whole = isinstance(given, dict) and bool(given) and not _refers(given)  # from its root, which is elsewhere here
    return {
        "type": "object",
        "properties": {"name": {"const": function["name"]}, "arguments": given if whole else _ANY},
        "required": ["name", "arguments"],
        "additionalProperties": False,
    }


def _refers(value: Any) -> bool:
    if isinstance(value, dict):
        return "$ref" in value or any(_refers(inner) for inner in value.values())
    return isinstance(value, list) and any(_refers(inner) for inner in value)
