"""Is an answer what was expected?"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import jsonschema
from pydantic_core import ValidationError

from smallmodel_operator.core.trial import Expectation, Item
from smallmodel_operator.quality.golden import compiled

LONGEST: Final = 65_536
"""Characters of an answer that are looked at; longer ones are not what anybody expects."""


def body(item: Item, model: str, adapters: Sequence[str] = ()) -> dict[str, Any]:
    """The request that asks a golden prompt: the likeliest answer, and nothing from a cache.

    The cache of another prompt changes the order of additions, and so at times the answer.

    Args:
        item: the prompt; its adapter, if it has one, is among `adapters`.
        model: what the engine calls itself.
        adapters: names of the engine's adapters by number, as the gateway knows them.
    """
    asked: dict[str, Any] = {
        "model": model, "messages": [dict(m) for m in item.messages], "max_tokens": item.max_tokens,
        "temperature": 0, "seed": 1, "cache_prompt": False,
    }  # fmt: skip
    if item.tools:
        asked |= {"tools": [dict(t) for t in item.tools], "tool_choice": "auto"}
    if adapters:  # as the gateway does it: said for each request, also that there is none
        asked["lora"] = [{"id": adapters.index(item.adapter), "scale": 1.0}] if item.adapter else []
    return asked


def meets(expect: Expectation, message: Mapping[str, Any]) -> bool:
    """Is this message of an assistant as expected? Whatever a model answers, this says yes or no."""
    if expect.kind == "tool":
        return _calls(message.get("tool_calls"), expect.value)
    content = message.get("content")
    if not isinstance(content, str) or len(content) > LONGEST:
        return False
    if expect.kind == "exact":
        return bool(content.strip() == expect.value)
    if expect.kind == "regex":
        return _found(expect.value, content)
    return _fits(expect.value, content)


def same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Do two messages say the same? Ids of calls are made anew for each answer."""
    return _said(one) == _said(other)


def _said(message: Mapping[str, Any]) -> tuple[Any, list[Any]]:
    calls = message.get("tool_calls")
    return message.get("content"), [c.get("function") for c in calls if isinstance(c, Mapping)] if calls else []


def _found(pattern: str, content: str) -> bool:
    try:
        compiled(pattern).validate_python(content)
    except (ValidationError, UnicodeError):
        return False
    return True


def _fits(schema: Mapping[str, Any], content: str) -> bool:
    try:
        value = json.loads(content)
        return bool(jsonschema.Draft202012Validator(schema).is_valid(value))
    except (ValueError, RecursionError, OverflowError, ArithmeticError):
        return False


def _calls(calls: Any, wanted: Mapping[str, Any]) -> bool:
    """One call, of this tool, with at least these arguments."""
    if not isinstance(calls, list) or len(calls) != 1 or not isinstance(calls[0], Mapping):
        return False
    function = calls[0].get("function")
    if not isinstance(function, Mapping) or function.get("name") != wanted["name"]:
        return False
    try:
        given = json.loads(function.get("arguments") or "{}")
    except (ValueError, TypeError, RecursionError):
        return False
    return isinstance(given, Mapping) and all(
        k in given and _equal(given[k], v) for k, v in wanted["arguments"].items()
    )


def _equal(one: Any, other: Any) -> bool:
    """As JSON: true is not 1."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
