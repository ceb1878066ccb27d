"""A request that is decided on, as Envoy tells of it, the route it came to, and how a decision takes effect."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from smallmodel_operator.gateway.decide.answer import Answer
from smallmodel_operator.gateway.decide.tools import Guarded
from smallmodel_operator.gateway.decide.turns import Turns
from smallmodel_operator.routing.asked import Request
from smallmodel_operator.routing.policy import Ready
from smallmodel_operator.routing.tools.check import Refusal
from smallmodel_operator.routing.tools.conversation import Conversation
from smallmodel_operator.routing.verdict import Can, Decision

T = TypeVar("T")


class Unseen(Exception):  # noqa: N818 - says what is the matter
    """Nobody has looked at a request; `args[0]` is the reason, a word in CamelCase."""


@dataclass(frozen=True, slots=True)
class Call:
    """A request of a caller to a route (`<namespace>/<name>`), as Envoy tells of it.

    `chosen`: `Named/<target>` or `Share/<target>` where its target is known already; empty: it is decided here.
    """

    route: str
    caller: str
    id: str
    request: Request
    chosen: str = ""
    said: Sequence[str] = ()
    """The values of its header with labels, as the caller says them."""
    place: str = ""
    """Where its body has the model's name: `<bytes before it>,<bytes with it>`."""
    namespace: str = ""
    """Of its caller; empty for keys without one."""
    kept: bool = False
    """What is kept of it was, with an earlier attempt."""


@dataclass(frozen=True, slots=True)
class Route:
    """A route that is in force: its policy, and what its targets can do."""

    ready: Ready
    can: Mapping[str, Can]
    tools: Guarded | None = None
    turns: Turns | None = None
    """Of requests that may be escalated."""


class Effects(Protocol):
    """What decisions have an effect by."""

    def route(self, call: Call) -> Route | None:
        """The route in force."""

    async def seen(self, call: Call, look: Callable[..., T], *args: Any) -> T:
        """What a look at a request finds, in a thread where it is large."""

    async def effect(
        self,
        route: Route,
        call: Call,
        decision: Decision,
        checked: Conversation,
        more: Mapping[str, str] = ...,
        *,
        again: bool = ...,
    ) -> tuple[Answer, Decision | None]:
        """Count a decision and record it (with `more`) before it takes effect: what Envoy is told, and the decision
        that does, None: none, it is refused. `again`: how hard the request is was counted before."""

    async def refuse(self, route: Route, call: Call, why: Refusal) -> Answer:
        """Count and record a refusal for its tools: the caller's answer."""

    async def may(self, route: Route, call: Call, decision: Decision) -> bool:
        """May it go to its target, as far as what has to be asked for that says?"""
