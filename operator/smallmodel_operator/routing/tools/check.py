"""A conversation against what its route allows of tools. Pure; it never raises, and what goes wrong is a refusal."""

from dataclasses import dataclass

from smallmodel_operator.routing.asked import BYTES_PER_TOKEN, Request
from smallmodel_operator.routing.tools.conversation import Called, Conversation, Offered, conversation, generates
from smallmodel_operator.routing.tools.shape import NotChecked


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a route allows. None: all tools, any number. `most_tokens`: a quarter of a body's bytes, an estimate."""

    allow: frozenset[str] | None = None
    most_calls: int | None = None
    most_tokens: int | None = None
    verify_choice: bool = False
    """An answer has to call a tool where its request demands it."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is refused. `field`: where, in words that are no caller's; `message` is for the caller alone."""

    status: int
    code: str
    field: str
    message: str


def check(bounds: Bounds, request: Request) -> Conversation | Refusal:
    """What a request says of tools, or why it is refused."""
    if too_long := _too_long(bounds, request):
        return too_long
    try:
        found = conversation(request)
    except NotChecked as error:
        return _unreadable(*error.args)
    except Exception:
        return _unreadable("body", "it cannot be read")
    if bounds.allow is not None:
        named: tuple[Offered | Called, ...] = (*found.offered, *found.calls)
        for one in named:
            if one.name not in bounds.allow:
                return _forbidden(one)
    return _too_many(bounds, found) or found


def _too_long(bounds: Bounds, request: Request) -> Refusal | None:
    tokens = -(-max(len(request.body), request.size or 0) // BYTES_PER_TOKEN)
    if bounds.most_tokens is None or tokens <= bounds.most_tokens or not generates(request):
        return None
    message = (
        f"This conversation is too long for its route: about {tokens} tokens (a quarter of the body's bytes), and "
        f"spec.tools.maxTokensPerConversation is {bounds.most_tokens}. Begin a new one, or send less of its history."
    )
    return Refusal(400, "conversation_too_long", "messages", message)


def _too_many(bounds: Bounds, found: Conversation) -> Refusal | None:
    if bounds.most_calls is None or len(found.calls) <= bounds.most_calls:
        return None
    message = (
        f"This conversation has {len(found.calls)} tool calls, and spec.tools.maxCallsPerConversation of its route is "
        f"{bounds.most_calls}: it goes no further."
    )
    return Refusal(403, "too_many_tool_calls", "messages", message)


def _forbidden(one: Offered | Called) -> Refusal:
    message = f"Tool '{one.name}' is not allowed on this route: {one.place} names it, and spec.tools.allow does not."
    return Refusal(403, "tool_not_allowed", one.place, message)


def _unreadable(place: str, why: str) -> Refusal:
    return Refusal(400, "invalid_tools", place, f"The tools of this request cannot be checked. At {place}: {why}.")
