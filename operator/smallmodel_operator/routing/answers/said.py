"""An answer of a model as it came over the wire: a chat completion, or the chunks of a streamed one. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

import orjson

from smallmodel_operator.routing.choice.confidence import logprob_of
from smallmodel_operator.routing.choice.examples import BadRow

STREAM: Final = "text/event-stream"
_DATA: Final = b"data:"
_DONE: Final = b"[DONE]"


class Unreadable(ValueError):  # noqa: N818 - says what is the matter
    """It is no answer of a chat, so nobody can judge it; the text has nothing of it."""


@dataclass(frozen=True, slots=True)
class Said:
    """An answer, whole. `values`: one completion, or the chunks in their order; `done`: a stream was ended as such."""

    values: tuple[dict[str, Any], ...]
    streamed: bool = False
    done: bool = False


def read(kind: str, body: bytes) -> Said:
    """Read it. `kind`: its content type.

    Raises:
        Unreadable: it is none.
    """
    streamed = kind.partition(";")[0].strip().lower() == STREAM
    parts = list(_events(body)) if streamed else [body]
    try:
        values = tuple(orjson.loads(part) for part in parts if part != _DONE)
    except ValueError:
        raise Unreadable("it is no JSON") from None
    if not values or not all(isinstance(value, dict) and _choices(value) is not None for value in values):
        raise Unreadable("it has no `choices`")
    return Said(values, streamed, _DONE in parts)


def written(said: Said) -> bytes:
    """As it goes over the wire."""
    if not said.streamed:
        return orjson.dumps(said.values[0])
    parts = [orjson.dumps(value) for value in said.values] + [_DONE] * said.done
    return b"".join(b"%b %b\n\n" % (_DATA, part) for part in parts)


def logprobs(said: Said) -> list[float]:
    """The natural log-probability of each token, of all choices.

    Raises:
        Unreadable: it says none.
    """
    try:
        found = [logprob_of(token) for choice in _all(said) for token in _tokens(choice)]
    except BadRow:
        raise Unreadable("a `logprob` of its tokens is no number of at most 0") from None
    if not found:
        raise Unreadable("no token of it has a `logprob`")
    return found


def without_logprobs(said: Said) -> Said:
    """As if nobody had asked for them."""
    return replace(said, values=tuple(_bare(value) for value in said.values))


def _bare(value: dict[str, Any]) -> dict[str, Any]:
    found = _choices(value) or []
    bare = [{n: v for n, v in choice.items() if n != "logprobs"} if _is(choice) else choice for choice in found]
    return {**value, "choices": bare}


def _events(body: bytes) -> Iterator[bytes]:
    """The data of server-sent events, one line each as engines send it."""
    for line in body.splitlines():
        if line.startswith(_DATA):
            yield line.removeprefix(_DATA).strip()


def _choices(value: dict[str, Any]) -> list[Any] | None:
    found = value.get("choices")
    return found if isinstance(found, list) else None


def _all(said: Said) -> Iterator[dict[str, Any]]:
    for value in said.values:
        yield from (choice for choice in _choices(value) or () if _is(choice))


def _tokens(choice: dict[str, Any]) -> list[Any]:
    found = choice.get("logprobs")
    tokens = found.get("content") if isinstance(found, dict) else None
    return tokens if isinstance(tokens, list) else []


def _is(choice: object) -> bool:
    return isinstance(choice, dict)
