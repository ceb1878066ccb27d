"""Golden prompts: JSON lines -> GoldenSet. Strict: what is not known is an error that names its line and field.

A message never repeats a value: prompts and expectations are the user's data.
"""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final

import jsonschema
from pydantic_core import SchemaError, SchemaValidator, core_schema

from smallmodel_operator.core.trial import Expectation, GoldenSet, Item

MOST_BYTES: Final = 256 * 1024
MOST_ITEMS: Final = 256
MOST_TOKENS: Final = 2048
MOST_DEPTH: Final = 16
"""Of a JSON schema or a tool; deeper ones are no expectation of an answer."""
_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_ADAPTER: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_FIELDS: Final = frozenset({"id", "prompt", "messages", "tools", "maxTokens", "adapter", "expect"})
_KINDS: Final = ("exact", "regex", "jsonSchema", "tool")
_ROLES: Final = ("system", "user", "assistant")
_UNSAFE: Final = frozenset({"pattern", "patternProperties", "$ref", "$dynamicRef", "$recursiveRef", "format"})
"""Words of a JSON schema that lead elsewhere, or may take for ever; `regex` is there for patterns."""


class NotGolden(ValueError):  # noqa: N818 - what the text is
    """The text is not golden prompts; the message names line and field, and no value."""


@lru_cache(maxsize=64)
def parse(text: str) -> GoldenSet:
    """Read golden prompts.

    Raises:
        NotGolden: with the line and the field that are wrong.
    """
    size = len(text.encode(errors="surrogatepass"))
    if size > MOST_BYTES:
        raise NotGolden(f"{size} bytes of golden prompts are too many; {MOST_BYTES} are allowed")
    items: dict[str, Item] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            item = _item(_object(line))
            if item.id in items:
                raise NotGolden(f"`id`: {item.id} is there twice")
        except NotGolden as error:
            raise NotGolden(f"line {number}: {error}") from None
        items[item.id] = item
        if len(items) > MOST_ITEMS:
            raise NotGolden(f"line {number}: more than {MOST_ITEMS} golden prompts")
    if not items:
        raise NotGolden("there is no golden prompt in it")
    digest = hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:16]
    return GoldenSet(digest, tuple(items.values()))


def _object(line: str) -> Mapping[str, Any]:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) != len(pairs):
            raise NotGolden("a field is there twice")
        return made

    try:
        value = json.loads(line, object_pairs_hook=once, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise NotGolden(f"no JSON: {error.msg} at column {error.colno}") from None
    except (RecursionError, ValueError) as error:
        if isinstance(error, NotGolden):
            raise
        raise NotGolden("no JSON that can be read") from None
    if not isinstance(value, Mapping):
        raise NotGolden("no JSON object")
    _no_lone_surrogates(value, 0)
    return value


def _no_constant(name: str) -> Any:
    raise NotGolden(f"{name} is no JSON")


def _no_lone_surrogates(value: Any, depth: int) -> None:
    """Half a character cannot be sent; what is nested without end is no prompt."""
    if depth > MOST_DEPTH * 2:
        raise NotGolden(f"nested more than {MOST_DEPTH * 2} deep")
    if isinstance(value, str) and any("\ud800" <= c <= "\udfff" for c in value):
        raise NotGolden("a text holds half a character (a lone surrogate)")
    if isinstance(value, Mapping):
        for key, inner in value.items():
            _no_lone_surrogates(key, depth)
            _no_lone_surrogates(inner, depth + 1)
    elif isinstance(value, list):
        for inner in value:
            _no_lone_surrogates(inner, depth + 1)


def _item(value: Mapping[str, Any]) -> Item:
    if len(value) > len(_FIELDS) or set(value) - _FIELDS:
        raise NotGolden(f"it has a field that is none of {_listed(sorted(_FIELDS))}")
    name = value.get("id")
    if not isinstance(name, str) or not _ID.fullmatch(name):
        raise NotGolden("`id`: 1 to 63 letters, digits, dots, dashes and underscores, the first a letter or digit")
    tools = _tools(value.get("tools", []))
    expect = _expectation(value.get("expect"))
    if (expect.kind == "tool") != bool(tools):
        raise NotGolden("`tools`: `expect.tool` needs the tools that may be called, and no other expectation has any")
    if expect.kind == "tool" and expect.value["name"] not in {t["function"]["name"] for t in tools}:
        raise NotGolden("`expect.tool`: none of `tools` has this name")
    tokens = value.get("maxTokens", Item.__dataclass_fields__["max_tokens"].default)
    if not isinstance(tokens, int) or isinstance(tokens, bool) or not 1 <= tokens <= MOST_TOKENS:
        raise NotGolden(f"`maxTokens`: a number from 1 to {MOST_TOKENS}")
    adapter = value.get("adapter", "")
    if not isinstance(adapter, str) or ("adapter" in value and not _ADAPTER.fullmatch(adapter)):
        raise NotGolden("`adapter`: the name of one of `spec.adapters`")
    return Item(name, _messages(value), expect, tools, tokens, adapter)


def _messages(value: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    if ("prompt" in value) == ("messages" in value):
        raise NotGolden("it needs either `prompt` or `messages`")
    if "prompt" in value:
        return ({"role": "user", "content": _text("prompt", value["prompt"])},)
    messages = value["messages"]
    if not isinstance(messages, list) or not messages:
        raise NotGolden("`messages`: a list of at least one message")
    made = []
    for at, message in enumerate(messages):
        where = f"messages[{at}]"
        if not isinstance(message, Mapping) or set(message) != {"role", "content"}:
            raise NotGolden(f"`{where}`: an object with `role` and `content`")
        if message["role"] not in _ROLES:
            raise NotGolden(f"`{where}.role`: one of {_listed(_ROLES)}")
        made.append({"role": message["role"], "content": _text(f"{where}.content", message["content"])})
    return tuple(made)


def _text(where: str, value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise NotGolden(f"`{where}`: a text that is not empty")
    return value


def _tools(value: Any) -> tuple[Mapping[str, Any], ...]:
    if not isinstance(value, list) or len(value) > 16:
        raise NotGolden("`tools`: a list of at most 16 tools, as in a chat request")
    for at, tool in enumerate(value):
        function = tool.get("function") if isinstance(tool, Mapping) else None
        if not isinstance(function, Mapping) or tool.get("type") != "function":
            raise NotGolden(f'`tools[{at}]`: an object with `"type": "function"` and `function`')
        _text(f"tools[{at}].function.name", function.get("name"))
    return tuple(value)


def _expectation(value: Any) -> Expectation:
    if not isinstance(value, Mapping) or len(value) != 1 or next(iter(value)) not in _KINDS:
        raise NotGolden(f"`expect`: an object with one of {_listed(_KINDS)}")
    ((kind, wanted),) = value.items()
    checked = _CHECKS[kind](wanted)
    return Expectation(kind, checked)


def _exact(value: Any) -> str:
    return _text("expect.exact", value).strip()


def _regex(value: Any) -> str:
    pattern = _text("expect.regex", value)
    if len(pattern) > 2048:
        raise NotGolden("`expect.regex`: at most 2048 characters")
    try:
        compiled(pattern)
    except SchemaError:
        raise NotGolden(
            "`expect.regex`: no pattern of Rust's regex crate (it has no look-around and no back-references)"
        ) from None
    return pattern


def compiled(pattern: str) -> SchemaValidator:
    """A pattern that is looked for in time that grows with the text alone, whoever wrote it.

    Raises:
        SchemaError: it is no pattern.
    """
    return SchemaValidator(core_schema.str_schema(pattern=pattern, regex_engine="rust-regex"))


def _json_schema(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise NotGolden("`expect.jsonSchema`: a JSON schema")
    _plain(value, 0)
    try:
        jsonschema.Draft202012Validator.check_schema(value)
    except (jsonschema.SchemaError, RecursionError) as error:
        path = ".".join(map(str, getattr(error, "absolute_path", ())))
        raise NotGolden(f"`expect.jsonSchema{f'.{path}' if path else ''}`: no JSON schema (draft 2020-12)") from None
    return value


def _plain(value: Any, depth: int) -> None:
    if depth > MOST_DEPTH:
        raise NotGolden(f"`expect.jsonSchema`: nested more than {MOST_DEPTH} deep")
    if isinstance(value, Mapping):
        if found := _UNSAFE & set(value):
            raise NotGolden(f"`expect.jsonSchema`: `{min(found)}` is not supported")
        for inner in value.values():
            _plain(inner, depth + 1)
    elif isinstance(value, list):
        for inner in value:
            _plain(inner, depth + 1)


def _tool(value: Any) -> Mapping[str, Any]:
    if isinstance(value, str):
        return {"name": _text("expect.tool", value), "arguments": {}}
    if not isinstance(value, Mapping) or not {"name"} <= set(value) <= {"name", "arguments"}:
        raise NotGolden("`expect.tool`: the name of a tool, or an object with `name` and `arguments`")
    arguments = value.get("arguments", {})
    if not isinstance(arguments, Mapping):
        raise NotGolden("`expect.tool.arguments`: an object")
    return {"name": _text("expect.tool.name", value["name"]), "arguments": dict(arguments)}


_CHECKS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "exact": _exact, "regex": _regex, "jsonSchema": _json_schema, "tool": _tool,
}  # fmt: skip


def _listed(names: Any) -> str:
    *most, last = (f"`{name}`" for name in names)
    return f"{', '.join(most)} and {last}"
