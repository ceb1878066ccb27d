"""Pieces of a request, each taken only where it is surely what it looks like. Pure."""

import re
import unicodedata
from typing import Any, Final, NoReturn

from smallmodel_operator.routing.detect.request import MOST_DEPTH, is_text

NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}")


class NotChecked(Exception):  # noqa: N818 - says what is the matter
    """`args`: the place, in words that are no caller's, and why what stands there is not taken."""


def no(place: str, why: str) -> NoReturn:
    raise NotChecked(place, why)


def only(value: Any, place: str, keys: set[str]) -> dict[str, Any]:
    """An object that has some of these keys and no others: nothing in it is for another reader."""
    if not isinstance(value, dict) or not keys >= value.keys():
        no(place, f"it is an object with {', '.join(f'`{key}`' for key in sorted(keys))} and nothing else")
    return value


def listed(value: Any, place: str) -> list[Any]:
    """A list; none where there is nothing."""
    if value is None:
        return []
    if not isinstance(value, list):
        no(place, "it is a list")
    return value


def name(value: Any, place: str) -> str:
    if not is_text(value) or not NAME.fullmatch(value):
        no(place, "a tool's name is 1 to 64 letters, digits, `_` and `-`")
    return str(value)


def arguments(call: dict[str, Any], place: str) -> str:
    if not is_text(call.get("arguments")):
        no(f"{place}.arguments", "the arguments of a call are a text")
    return str(call["arguments"])


def id_of(value: Any, place: str) -> str:
    """Of a call; empty where its engine gave none."""
    if value is not None and not is_text(value):
        no(place, "the id of a call is a text")
    return value or ""


def says_tool(key: str) -> bool:
    """A key that some reader might take for one of tools: in whatever letters, with whatever between them."""
    if not (key.isascii() and key.islower() and key.isalpha()):
        key = "".join(c for c in unicodedata.normalize("NFKC", key).casefold() if c.isalnum())
    return "tool" in key or "function" in key


def tool_free(value: Any, place: str, known: frozenset[str] = frozenset(), level: int = 0, depth: int = 0) -> None:
    """No key in a value says tool, but those `known` in objects at a level, which are read by themselves."""
    if depth > MOST_DEPTH:
        no(place, "it has too many levels")
    if isinstance(value, dict):
        for key, inner in value.items():
            if known and depth == level and key in known:
                continue
            if says_tool(key):
                no(place, "it has a key that says `tool` or `function` where none is known")
            tool_free(inner, place, known, level, depth + 1)
    elif isinstance(value, list):
        for inner in value:
            tool_free(inner, place, known, level, depth + 1)
