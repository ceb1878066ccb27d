"""What of a request the choice of its target goes by: what it needs, its prompt, how long it is. Pure, and total.

Nothing of it says whether a request may leave: that is `detect`'s, which reads strictly. Here a request that cannot be
read simply asks for nothing in particular.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

import orjson

from smallmodel_operator.routing import deadline
from smallmodel_operator.routing.policy import Need

BYTES_PER_TOKEN: Final = 4
"""Of English in common tokenizers; what counts is which of two models a text is for, so it need not be exact."""
_EMBEDDINGS: Final = "/embeddings"


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it came.

    Args:
        path: with or without its query.
        body: its beginning, where `whole` is false.
        size: bytes its headers declare; None: they do not say.
        named: the target of its route that it asks for; empty: none.
        adapter: what it names behind its route (`<route>:<adapter>`); empty: none.
        deadline: what it says of how long it may take, see `deadline.HEADER`; empty: nothing.
    """

    path: str
    body: bytes
    whole: bool = True
    size: int | None = None
    content_type: str = "application/json"
    content_encoding: str = ""
    named: str = ""
    adapter: str = ""
    deadline: str = ""


@dataclass(frozen=True, slots=True)
class Asked:
    """`prompt`: what users said in it, in one text. `tokens`: an estimate. `deadline`: seconds; None: it says none, or
    (`bad_deadline`) none that can be read."""

    needs: frozenset[Need] = frozenset()
    adapter: str = ""
    prompt: str = ""
    tokens: int = 0
    deadline: float | None = None
    bad_deadline: bool = False


def asked(request: Request, most_bytes: int) -> Asked:
    """Read it; of a larger one, or one that is no JSON, its length alone is known."""
    tokens = -(-max(len(request.body), request.size or 0) // BYTES_PER_TOKEN)
    embeds = {Need.EMBEDDINGS} if request.path.partition("?")[0].endswith(_EMBEDDINGS) else set()
    until = deadline.seconds(request.deadline)
    found = Asked(frozenset(embeds), request.adapter, "", tokens, until, bool(request.deadline) and until is None)
    value = _value(request, most_bytes)
    if value is None:
        return found
    return replace(found, needs=frozenset(embeds | set(_needs(value))), prompt="\n".join(_said(value)))


def _value(request: Request, most_bytes: int) -> dict[str, Any] | None:
    if not request.whole or len(request.body) > most_bytes:
        return None
    try:
        value = orjson.loads(request.body)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _needs(value: dict[str, Any]) -> Iterator[Need]:
    if value.get("tools") or value.get("functions"):
        yield Need.TOOLS
    text = value.get("text")
    for form in (value.get("response_format"), text.get("format") if isinstance(text, dict) else None):
        if isinstance(form, dict) and (form.get("type") == "json_schema" or form.get("schema")):
            yield Need.JSON_SCHEMA


def _said(value: dict[str, Any]) -> Iterator[str]:
    """Texts of users: the task is in them, while instructions and tools are the same for every task."""
    messages = value.get("messages")
    for message in messages if isinstance(messages, list) else ():
        if isinstance(message, dict) and message.get("role") == "user":
            yield from _texts(message.get("content"))
    for key in ("prompt", "input"):
        said = value.get(key)
        for one in said if isinstance(said, list) else [said]:
            if isinstance(one, dict) and one.get("role", "user") == "user":
                yield from _texts(one.get("content"))
            yield from _texts(one)


def _texts(content: Any) -> Iterator[str]:
    if isinstance(content, str):
        yield content
    for part in content if isinstance(content, list) else ():
        if isinstance(part, dict) and isinstance(part.get("text"), str):
            yield part["text"]
