"""What is said of an answer that is judged, and who says it."""

from asyncio import to_thread
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeVar

from smallmodel_operator.gateway.decide.answer import Answer
from smallmodel_operator.gateway.decide.call import Call, Route
from smallmodel_operator.gateway.decide.kept import Kept

T = TypeVar("T")
SMALL_BYTES: Final = 64 * 1024
"""Read where it arrives; a larger answer goes to a thread."""
UNJUDGED: Final = "unjudged"
"""An answer says nothing by which it could be judged, or nobody was there to do so."""
Open = Callable[[Route, Call, tuple[str, ...]], tuple[str, ...]]
"""Of targets those that answer now."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What becomes of an answer: it goes to its caller as `body`, with these headers, or (`doubt`) does not."""

    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    doubt: bool = False


DOUBTED: Final = Judged(b"", doubt=True)


class Judge(Protocol):
    """One kind of judging."""

    async def attempt(self, route: Route, call: Call, one: Kept) -> Answer:
        """What Envoy is told of the next attempt of a request."""

    async def judge(self, route: Route, one: Kept, kind: str, body: bytes) -> Judged | None:
        """What becomes of an answer of this content type; None: nobody judges it any more."""


async def looked(look: Callable[..., T], body: bytes, *more: object) -> T:
    """What a look at an answer finds; at a large one from a thread."""
    return look(body, *more) if len(body) <= SMALL_BYTES else await to_thread(look, body, *more)
