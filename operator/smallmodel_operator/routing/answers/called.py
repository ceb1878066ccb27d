"""Which tools an answer calls, and an answer in JSON made a call of a tool. Pure."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import orjson

from smallmodel_operator.routing.answers.said import Said

CALLS: Final = "tool_calls"


@dataclass(frozen=True, slots=True)
class Call:
    """As the model wrote it."""

    name: str
    arguments: str


def honoured(said: Said, names: frozenset[str]) -> bool:
    """Does each choice call at least one of these tools, no other one, and each with an object of arguments?"""
    found = {number: list(_calls(parts)) for number, parts in _choices(said).items()}
    return bool(found) and all(calls and all(_is_one(call, names) for call in calls) for calls in found.values())


def as_call(said: Said, names: frozenset[str], made: str) -> Said | None:
    """An answer whose text is `{"name": …, "arguments": {…}}` as a call of that tool; None: it is none of these tools'.

    `made`: what ids of its calls begin with.
    """
    calls: dict[int, dict[str, Any]] = {}
    for number, parts in _choices(said).items():
        call = _written("".join(_text(part) for part in parts), names)
        if call is None:
            return None
        function = {"name": call.name, "arguments": call.arguments}
        calls[number] = {"id": f"{made}{number}", "type": "function", "function": function}
    if not calls:
        return None
    return _streamed(said, calls) if said.streamed else _whole(said, calls)


def _whole(said: Said, calls: Mapping[int, dict[str, Any]]) -> Said:
    value = said.values[0]
    choices = [
        {**choice, "message": {"role": "assistant", "content": None, CALLS: [calls[number]]}, "finish_reason": CALLS}
        for number, choice in _numbered(value)
    ]
    return replace(said, values=({**value, "choices": choices},))


def _streamed(said: Said, calls: Mapping[int, dict[str, Any]]) -> Said:
    """One chunk with each call, one that ends it, and those without choices as they were."""
    head = {name: value for name, value in said.values[0].items() if name not in ("usage", "timings")}
    deltas = [
        {"index": n, "delta": {"role": "assistant", "content": None, CALLS: [{"index": 0, **call}]}}
        for n, call in calls.items()
    ]
    ends = [{"index": n, "delta": {}, "finish_reason": CALLS} for n in calls]
    last = {name: value for part in said.values for name, value in part.items() if name in ("usage", "timings")}
    bare = [part for part in said.values if not list(_numbered(part))]
    end = {**head, "choices": ends, **({} if bare else last)}
    return replace(said, values=({**head, "choices": [{**d, "finish_reason": None} for d in deltas]}, end, *bare))


def _is_one(call: Call, names: frozenset[str]) -> bool:
    try:
        return call.name in names and isinstance(orjson.loads(call.arguments), dict)
    except ValueError:
        return False


def _written(text: str, names: frozenset[str]) -> Call | None:
    try:
        found = orjson.loads(text)
    except ValueError:
        return None
    if not isinstance(found, dict) or not isinstance(found.get("arguments"), dict):
        return None
    name = found.get("name")
    if not isinstance(name, str) or name not in names:
        return None
    return Call(name, orjson.dumps(found["arguments"]).decode())


def _choices(said: Said) -> dict[int, list[dict[str, Any]]]:
    """What each choice says: its message, or its deltas in their order."""
    found: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for value in said.values:
        for number, choice in _numbered(value):
            part = choice.get("delta" if said.streamed else "message")
            found[number].append(part if isinstance(part, dict) else {})
    return found


def _numbered(value: Mapping[str, Any]) -> Iterator[tuple[int, dict[str, Any]]]:
    for place, choice in enumerate(value["choices"]):
        if isinstance(choice, dict):
            number = choice.get("index")
            yield number if type(number) is int else place, choice


def _text(part: Mapping[str, Any]) -> str:
    text = part.get("content")
    return text if isinstance(text, str) else ""


def _calls(parts: list[dict[str, Any]]) -> Iterator[Call]:
    """Its calls; of a streamed one the arguments come piece by piece, by its number."""
    names, written = dict[int, str](), defaultdict[int, list[str]](list)
    for part in parts:
        given = part.get(CALLS)
        for place, call in enumerate(given if isinstance(given, list) else ()):
            function = call.get("function") if isinstance(call, dict) else None
            if not isinstance(function, dict):
                names.setdefault(place, "")
                continue
            number = call.get("index")
            number = number if type(number) is int else place
            names[number] = names.get(number, "") + _said(function.get("name"))
            written[number].append(_said(function.get("arguments")))
    for number, name in names.items():
        yield Call(name, "".join(written[number]))


def _said(text: object) -> str:
    return text if isinstance(text, str) else ""
