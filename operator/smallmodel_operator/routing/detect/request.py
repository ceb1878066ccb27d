"""The texts of an OpenAI request. Whatever is not surely text is a reason to keep it inside. Pure."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, NoReturn

MOST_DEPTH: Final = 32
MOST_TEXTS: Final = 100_000
TEXT_PARTS: Final = frozenset({"text", "input_text", "output_text", "refusal", "reasoning_text", "summary_text"})
ITEMS: Final = frozenset({"message", "function_call", "function_call_output", "reasoning", *TEXT_PARTS})
"""Kinds of items in the list of `input`; those with content of another kind are not read."""
KNOWN: Final = frozenset(
    [
        "messages",
        "role",
        "content",
        "name",
        "text",
        "type",
        "tool_calls",
        "tool_call_id",
        "id",
        "function",
        "arguments",
        "tools",
        "tool_choice",
        "parameters",
        "properties",
        "required",
        "description",
        "items",
        "enum",
        "strict",
        "model",
        "prompt",
        "suffix",
        "input",
        "instructions",
        "metadata",
        "user",
        "stop",
        "response_format",
        "json_schema",
        "schema",
        "refusal",
        "reasoning_content",
        "function_call",
        "functions",
        "temperature",
        "top_p",
        "n",
        "stream",
        "stream_options",
        "max_tokens",
        "max_completion_tokens",
        "seed",
        "logprobs",
        "top_logprobs",
        "logit_bias",
        "presence_penalty",
        "frequency_penalty",
        "parallel_tool_calls",
        "reasoning_effort",
        "service_tier",
        "store",
        "user_id",
        "safety_identifier",
        "prompt_cache_key",
        "encoding_format",
        "dimensions",
        "output",
        "call_id",
        "additionalProperties",
        "title",
        "default",
        "include_usage",
        "modalities",
        "reasoning",
        "effort",
    ]
)
"""Names that a place may be told by. Other names are a caller's, and may themselves be what must stay."""
_ELSEWHERE: Final = frozenset(
    [
        "image_url",
        "input_audio",
        "audio",
        "file",
        "image",
        "images",
        "video",
        "video_url",
        "file_id",
        "file_ids",
        "file_data",
        "file_url",
        "files",
        "attachments",
        "previous_response_id",
        "conversation",
        "prompt_id",
    ]
)
"""Content that is not text, or is not in the request at all."""
_ASKED: Final = ("messages", "prompt", "input")
_DATA_URL: Final = re.compile(r"data:[\w.+-]{1,80}/[\w.+-]{1,80}[;,]", re.I)


class Unread(Exception):  # noqa: N818 - says what is the matter
    """The request is no text that is understood; `args[0]` says which."""


@dataclass(frozen=True, slots=True)
class Text:
    """One text of a request, and its place in words that name no text of the caller."""

    place: str
    text: str


class _Number(str):
    """A number as it stands in the request."""

    __slots__ = ()


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Unread("DuplicateKeys")  # one reader takes the first, the next one the last
    return found


def _no_constant(word: str) -> NoReturn:
    raise Unread("NotJson")


_decoder: Final = json.JSONDecoder(
    object_pairs_hook=_unique, parse_int=_Number, parse_float=_Number, parse_constant=_no_constant
)


def texts(body: bytes, most_bytes: int) -> list[Text]:
    """Every text of a request, keys and numbers included.

    Raises:
        Unread: with the reason, a word in CamelCase.
    """
    value = read(body, most_bytes)
    _shaped(value)
    found = []
    for text in _walk(value, "", 0):
        found.append(text)
        if len(found) > MOST_TEXTS:
            raise Unread("TooManyTexts")
    return found


def read(body: bytes, most_bytes: int) -> dict[str, Any]:
    """A body as JSON, read strictly: what one reader takes for this and another one for that is not read. Numbers are
    texts for which `is_text` is false.

    Raises:
        Unread: with the reason, a word in CamelCase.
    """
    if len(body) > most_bytes:
        raise Unread("TooLarge")
    try:
        value = _decoder.decode(body.decode())
    except UnicodeDecodeError:
        raise Unread("NotUtf8") from None
    except RecursionError:
        raise Unread("TooDeep") from None
    except ValueError:
        raise Unread("NotJson") from None
    if not isinstance(value, dict):
        raise Unread("NotAnObject")
    return value


def _shaped(value: dict[str, Any]) -> None:
    """Its question is text, and all of it is here."""
    asked = [key for key in _ASKED if key in value]
    if len(asked) != 1:
        raise Unread("UnknownShape")
    _outside(value)
    modalities = value.get("modalities")
    if modalities is not None and modalities != ["text"]:
        raise Unread("NotText")
    said = value[asked[0]]
    if asked[0] == "messages":
        _messages(said)
    elif asked[0] == "prompt":
        _plain(said)
    elif isinstance(said, list) and any(isinstance(item, dict) for item in said):
        _items(said)
    else:
        _plain(said)


def _messages(said: Any) -> None:
    if not isinstance(said, list) or not said:
        raise Unread("UnknownShape")
    for message in said:
        if not isinstance(message, dict) or not is_text(message.get("role")):
            raise Unread("UnknownShape")
        _outside(message)
        _content(message.get("content"))


def _items(said: list[Any]) -> None:
    for item in said:
        if not isinstance(item, dict) or item.get("type", "message") not in ITEMS:
            raise Unread("NotText")
        _outside(item)
        _content(item.get("content"))


def _content(content: Any) -> None:
    if content is None or is_text(content):
        return
    if not isinstance(content, list):
        raise Unread("UnknownShape")
    for part in content:
        if not isinstance(part, dict) or part.get("type") not in TEXT_PARTS:
            raise Unread("NotText")
        _outside(part)


def _plain(said: Any) -> None:
    """A text, or a list of them; not tokens, whose text is not known here."""
    if is_text(said):
        return
    if not isinstance(said, list) or not said:
        raise Unread("UnknownShape")
    if not all(is_text(one) for one in said):
        raise Unread("NotText")


def _outside(value: dict[str, Any]) -> None:
    if not _ELSEWHERE.isdisjoint(value) and any(value[key] is not None for key in _ELSEWHERE & value.keys()):
        raise Unread("NotText")


def is_text(value: Any) -> bool:
    """A text, and no number."""
    return isinstance(value, str) and not isinstance(value, _Number)


def _entry(key: str, inner: Any, place: str, depth: int) -> Iterator[Text]:
    own = key in KNOWN
    below = f"{place}.{key if own else '*'}".lstrip(".")
    if own or not isinstance(inner, str):
        if not own:
            yield Text(below, key)
        yield from _walk(inner, below, depth + 1)
    else:
        yield from _walk(f"{key}={inner}", below, depth + 1)


def _walk(value: Any, place: str, depth: int) -> Iterator[Text]:
    """Depth first, in the order of the request. A value of a key that is no API's own comes with the key before it."""
    if depth > MOST_DEPTH:
        raise Unread("TooDeep")
    if isinstance(value, str):
        if _DATA_URL.search(value):
            raise Unread("NotText")
        yield Text(place, value)
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _entry(key, inner, place, depth)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _walk(inner, f"{place}[{number}]", depth + 1)
        said = [_said(inner) for inner in value] if len(value) > 1 else []
        if len(said) > 1 and all(one is not None for one in said):
            yield Text(f"{place}[*].text", "".join(one or "" for one in said))  # what is split over parts


def _said(part: Any) -> str | None:
    """The text of a part of some content."""
    if not isinstance(part, dict):
        return None
    return next((part[key] for key in ("text", "refusal") if is_text(part.get(key))), None)
