"""What a request says of tools: offered, chosen, called. Pure, and closed: what is not surely read is not read at all.

Only fields count. What a text says of tools is text: no one can keep a caller from writing, nor a model from reading.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from smallmodel_operator.routing.asked import Request
from smallmodel_operator.routing.detect.decide import MOST_BYTES
from smallmodel_operator.routing.detect.request import Unread, is_text, read
from smallmodel_operator.routing.tools.shape import NotChecked, arguments, id_of, listed, name, no, only, tool_free

CHAT: Final = "/chat/completions"
RESPONSES: Final = "/responses"
WITHOUT: Final = ("/embeddings", "/rerank")
"""Paths that know neither tools nor conversations."""
_PLAIN: Final = frozenset({"", "identity"})
_CHOICES: Final = frozenset({"none", "auto", "required"})
_OWN: Final = frozenset({"tools", "tool_choice", "functions", "function_call"})
"""Fields of tools in a request: each is read, or refused."""
_HARMLESS: Final = frozenset({"parallel_tool_calls", "parse_tool_calls", "max_tool_calls"})
_OPAQUE: Final = frozenset({"metadata", "response_format", "json_schema", "text", "logit_bias", "guided_json"})
"""A caller's own keys stand there, which name a tool to nobody."""
_DECLARED: Final = {"name", "description", "parameters", "strict"}
_IN_MESSAGES: Final = frozenset({"tool_calls", "tool_call_id", "function_call"})
_ROLES: Final = ("assistant", "developer", "system", "tool", "user")
_PARTS: Final = frozenset(
    ["text", "refusal", "image_url", "input_audio", "file", "input_text", "output_text", "input_image", "input_file"]
)
_ELSEWHERE: Final = ("previous_response_id", "conversation", "prompt", "messages")
"""Where a part of a conversation may be that is not in `input`."""


@dataclass(frozen=True, slots=True)
class Offered:
    """A tool a model may call."""

    place: str
    name: str


@dataclass(frozen=True, slots=True)
class Called:
    """A call in the history. `arguments`: as the model wrote them."""

    place: str
    name: str
    arguments: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Conversation:
    """What a request says of tools. `chosen`: none, auto, required, or with `named` the tool that must be called."""

    offered: tuple[Offered, ...] = ()
    chosen: str = "auto"
    named: bool = False
    calls: tuple[Called, ...] = ()


def generates(request: Request) -> bool:
    """Is it sent where an answer is written?"""
    return not request.path.partition("?")[0].endswith(WITHOUT)


def conversation(request: Request) -> Conversation:
    """Read it.

    Raises:
        NotChecked: with the place, and why.
    """
    if not generates(request):
        return Conversation()
    path = request.path.partition("?")[0]
    if not path.endswith((CHAT, RESPONSES)):
        no("path", "what is sent here cannot be checked; use /v1/chat/completions")
    if not request.whole or request.size not in (None, len(request.body)):
        no("body", f"it is longer than the {MOST_BYTES} bytes that are looked at")
    if request.content_encoding.strip().lower() not in _PLAIN:
        no("body", "it is compressed; send it as it is")
    try:
        body = read(request.body, MOST_BYTES)
    except Unread as error:
        raise NotChecked("body", f"it cannot be read ({error.args[0]})") from None
    return _read(body, chat=path.endswith(CHAT))


def _read(body: dict[str, Any], *, chat: bool) -> Conversation:
    _nothing_else(body, chat=chat)
    offered = tuple(_offered(body.get("tools"), chat=chat))
    chosen, named = _choice(body.get("tool_choice"), chat=chat)
    if named and chosen not in {tool.name for tool in offered}:
        no("tool_choice", f"it names the tool '{chosen}', which is not among `tools`")
    if chosen == "required" and not offered:
        no("tool_choice", "it is `required`, and `tools` offers none")
    return Conversation(offered, chosen, named, tuple(_messages(body) if chat else _items(body)))


def _nothing_else(body: dict[str, Any], *, chat: bool) -> None:
    """Nothing that another reader might take for tools, or for the conversation."""
    for key in ("functions", "function_call"):
        if body.get(key) is not None:
            no(key, "the legacy fields of functions are not taken: use `tools`, `tool_choice` and `tool_calls`")
    for key, value in body.items():
        if key in _HARMLESS:
            tool_free(value, key)
        elif key == "messages" and chat:
            tool_free(value, key, _IN_MESSAGES, level=1)
        elif key not in _OWN and key not in _OPAQUE:
            tool_free({key: value}, "body")
    for key in ("input", "prompt") if chat else _ELSEWHERE:
        if body.get(key) is not None:
            no(key, f"a part of the conversation is not in `{'messages' if chat else 'input'}`: send all of it there")


def _offered(tools: Any, *, chat: bool) -> Iterator[Offered]:
    for number, tool in enumerate(listed(tools, "tools")):
        place = f"tools[{number}]"
        given = only(tool, place, {"type", "function"} if chat else {"type", *_DECLARED})
        if given.get("type") != "function":
            no(f"{place}.type", "only tools of type `function` are taken")
        inner = f"{place}.function" if chat else place
        declared = only(given.get("function"), inner, _DECLARED) if chat else given
        yield Offered(f"{inner}.name", name(declared.get("name"), f"{inner}.name"))


def _choice(choice: Any, *, chat: bool) -> tuple[str, bool]:
    """What has to be called, and whether that is a tool's name."""
    if choice is None:
        return "auto", False
    if is_text(choice):
        if choice not in _CHOICES:
            no("tool_choice", "as a text it is `none`, `auto` or `required`")
        return str(choice), False
    given = only(choice, "tool_choice", {"type", "function" if chat else "name"})
    if given.get("type") != "function":
        no("tool_choice.type", "as an object it is of type `function`")
    named = only(given.get("function"), "tool_choice.function", {"name"}) if chat else given
    return name(named.get("name"), "tool_choice"), True


def _messages(body: dict[str, Any]) -> Iterator[Called]:
    history = _History()
    for number, message in enumerate(listed(body.get("messages"), "messages")):
        place = f"messages[{number}]"
        _said(message, place)
        role, made, answers = message["role"], message.get("tool_calls"), message.get("tool_call_id")
        if message.get("function_call") is not None:
            no(f"{place}.function_call", "this legacy field is not taken: use `tool_calls`")
        if made is not None and role != "assistant":
            no(f"{place}.tool_calls", "only messages of role `assistant` have tool calls")
        for index, call in enumerate(listed(made, f"{place}.tool_calls")):
            yield history.called(*_call(call, f"{place}.tool_calls[{index}]"))
        if role == "tool":
            history.answered(answers, f"{place}.tool_call_id")
        elif answers is not None:
            no(f"{place}.tool_call_id", "only messages of role `tool` have one")


def _call(call: Any, place: str) -> tuple[Called, Any, str]:
    given = only(call, place, {"id", "type", "function", "index"})
    if given.get("type", "function") != "function":
        no(f"{place}.type", "only calls of type `function` are taken")
    inner = f"{place}.function"
    made = only(given.get("function"), inner, {"name", "arguments"})
    called = Called(f"{inner}.name", name(made.get("name"), f"{inner}.name"), arguments(made, inner))
    return called, given.get("id"), f"{place}.id"


def _items(body: dict[str, Any]) -> Iterator[Called]:
    said, history = body.get("input"), _History()
    if is_text(said):
        return
    for number, item in enumerate(listed(said, "input")):
        place = f"input[{number}]"
        kind = item.get("type", "message") if isinstance(item, dict) else None
        if kind == "function_call":
            given = only(item, place, {"id", "type", "status", "call_id", "name", "arguments"})
            called = Called(f"{place}.name", name(given.get("name"), f"{place}.name"), arguments(given, place))
            yield history.called(called, given.get("call_id"), f"{place}.call_id")
        elif kind == "function_call_output":
            history.answered(item.get("call_id"), f"{place}.call_id")
        elif kind == "message":
            _said(item, place)
        elif kind != "reasoning":
            no(f"{place}.type", "items of this type are not taken")


class _History:
    """Calls so far, and their results: a result without its call hides which tool it is of."""

    def __init__(self) -> None:
        self._ids, self._open = set[str](), 0

    def called(self, call: Called, id_: Any, place: str) -> Called:
        self._ids.add(id_of(id_, place))
        self._open += 1
        return call

    def answered(self, id_: Any, place: str) -> None:
        self._open -= 1
        if id_of(id_, place) not in self._ids or self._open < 0:
            no(place, "it is the result of a tool call that is not in the conversation: send the call before it")


def _said(message: Any, place: str) -> None:
    """It is a message whose role and kinds of content are known."""
    if not isinstance(message, dict) or not is_text(message.get("role")) or message["role"] not in _ROLES:
        no(f"{place}.role", f"it is one of {', '.join(_ROLES)}")
    content = message.get("content")
    if content is None or is_text(content):
        return
    for part in listed(content, f"{place}.content"):
        if not isinstance(part, dict) or not is_text(part.get("type")) or part["type"] not in _PARTS:
            no(f"{place}.content", "a part of it is of a type that is not known")
