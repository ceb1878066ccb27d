"""Tools of a conversation as they are recorded and answered. Pure. Records have names, HMACs, places, no arguments."""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from smallmodel_operator.audit.record import Kind
from smallmodel_operator.audit.request import RequestKey
from smallmodel_operator.gateway.decide.answer import Answer, refusal
from smallmodel_operator.routing.policy import Ready
from smallmodel_operator.routing.tools.check import Bounds, Refusal
from smallmodel_operator.routing.tools.conversation import Conversation
from smallmodel_operator.routing.verdict import Decision

REFUSED: Final = "ToolsRefused"
MOST_CALLS: Final = 64
"""Told of one request: the last ones. Those before them are told of the requests before it."""


@dataclass(frozen=True, slots=True)
class Guarded:
    """What a route allows, and by target the generation of its model's key for HMACs."""

    bounds: Bounds
    generations: Mapping[str, int]


def answer(why: Refusal) -> Answer:
    """What the caller is told."""
    return refusal(why.status, "tools", why.message, why.code, "invalid_request_error", why.field)


def refused(why: Refusal, ready: Ready, request_id: str, caller: str) -> dict[str, Any]:
    """The body of the record of a refusal."""
    return {
        "kind": Kind.DECISION.value,
        "request.id": request_id,
        "slm.route": ready.policy.route,
        "slm.caller": caller,
        "slm.decision": REFUSED,
        "slm.decision.target": "",
        "slm.decision.model": "",
        "slm.decision.boundary": "Inside",
        "slm.decision.policy": ready.hash,
        "slm.tools.refused": why.code,
        "slm.tools.field": why.field,
    }


def calls(found: Conversation, decision: Decision, route: str, guarded: Guarded, master: bytes) -> dict[str, Any]:
    """What a decision's record says of the calls in the conversation: the last ones, as `<name>:<HMAC of arguments>`.

    Raises:
        ValueError: there are some, and the gateways' key is not known yet.
    """
    target = decision.target
    if not found.calls or target is None:
        return {}
    if not master:
        raise ValueError("the key is not known yet")
    namespace = (target.model if target.inside else route).partition("/")[0]
    key = RequestKey.made(master, namespace, guarded.generations.get(target.name, 1))
    told = (
        f"{call.name}:{hmac.new(key.key, call.arguments.encode('utf-8', 'replace'), hashlib.sha256).hexdigest()}"
        for call in found.calls[-MOST_CALLS:]
    )
    return {"slm.tools.called": str(len(found.calls)), "slm.tools.calls": ",".join(told), "slm.tools.key": key.name}
