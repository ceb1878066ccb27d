"""A decision as Envoy is answered, and as it is recorded. Pure. Neither says anything of the request's texts."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from smallmodel_operator.audit.record import Kind
from smallmodel_operator.routing.deadline import HEADER as DEADLINE
from smallmodel_operator.routing.deadline import MOST_MILLISECONDS
from smallmodel_operator.routing.policy import Ready
from smallmodel_operator.routing.verdict import Because, Decision

DECISION: Final = "x-slm-decision"
TARGET: Final = "x-slm-target"
CAUSE: Final = "x-slm-cause"
CHOSEN: Final = "x-slm-chosen"
"""`Named/<target>` or `Share/<target>`, of requests that are asked for although their target is known."""
ESCALATED: Final = "x-slm-escalated"
DEGRADED: Final = "x-slm-degraded"
"""These two are the caller's to read: why another target answers than by rule or default, or in place of the one that
was to."""
PASS: Final = "x-slm-pass"  # noqa: S105 - the name of a header
"""Of what leaves: the egress lets nothing out without one."""
INSTEAD: Final = "x-slm-instead"
"""Of what leaves and comes back in where it fails."""
JUDGED: Final = "x-slm-judged"
"""Of what goes to the door where answers are judged."""
JUDGE: Final = "x-slm-judge"
"""There: `answer <token>`, its answer is judged; `error <token>`, whether it fails is; `both <token>`."""
ASK: Final = "x-slm-ask"
"""There: what the engine is asked beside what the body says; members of its JSON object."""
KEPT_STATUS: Final = 203
"""By it an answer that was doubted is its caller's after all; Envoy makes a 200 of it."""
FAILED: Final = "slm.decision.failed"
"""In the record: the target outside that failed, of a request that is decided on again for that."""
FAILING: Final = "outside-failing"
"""The egress or the target failed, now or lately."""
INSIDE: Final = "Inside"
UNANSWERED: Final = "outside-unreachable"
"""Cause of a refusal because the outside failed, and nobody inside answers."""
UNCOUNTED: Final = "budget-unknown"
"""Cause of a refusal that is nobody's fault: Envoy makes a 503 of it."""
TOO_SLOW: Final = "deadline"
"""Cause of a refusal because nobody is known to be as fast: Envoy makes a 504 of it."""
NO_CALL: Final = "tool-choice"
"""Cause of a refusal because no model called the tool that was demanded; Envoy makes a 502 of it."""
MOST_REASONS: Final = 16
"""Told of one decision."""


@dataclass(frozen=True, slots=True)
class Answer:
    """200: Envoy goes on, with these headers; anything else is the caller's answer."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


def answer(decision: Decision, signed: str = "", *, back: bool = False) -> Answer:
    """What Envoy is told. `signed`: the pass of a request that leaves; `back`: it comes back in where it fails."""
    if decision.target is not None:
        told = {DECISION: decision.because.value, TARGET: decision.target.name}
        leaves = {PASS: signed} | ({INSTEAD: "1"} if back else {}) if signed else {}
        return Answer(200, told | escalation(decision) | leaves)
    if decision.because in (Because.TOO_SLOW, Because.BAD_DEADLINE):
        return _not_in_time(decision)
    if decision.because is Because.NO_ADAPTER:
        message = (
            "This route has no such adapter for this request: no rule that matches names it, or the target has not "
            "loaded it. GET /v1/models lists those it has."
        )
        return refusal(404, "unknown-adapter", message, "model_not_found", "invalid_request_error", "model")
    if decision.because is Because.KEPT_INSIDE:
        why = ", ".join(dict.fromkeys(reason.reason for reason in decision.reasons))
        message = f"This request must stay inside ({why}): no target that it may go to can answer it."
        return refusal(403, "kept-inside", message, "kept_inside", "invalid_request_error")
    message = "No target of this route can do what the request asks for: see its tools and response_format."
    return refusal(400, "not-capable", message, "not_capable", "invalid_request_error")


def _not_in_time(decision: Decision) -> Answer:
    if decision.deadline is None:
        message = (
            f"Header {DEADLINE} must be one whole number of milliseconds, 1 to {MOST_MILLISECONDS}, or be left out."
        )
        return refusal(400, "bad-deadline", message, "invalid_deadline", "invalid_request_error")
    known = (f"{name} {'unknown' if p95 is None else f'{1000 * p95:.0f} ms'}" for name, p95 in decision.measured)
    message = (
        f"No target of rule {decision.rule!r} is known to answer within {1000 * decision.deadline:.0f} ms; 95 % of the "
        f"latest answers took at most: {', '.join(known) or 'unknown, for none can answer this request'}. "
        f"Send it without {DEADLINE}, or give it longer."
    )
    refused = refusal(408, TOO_SLOW, message, "deadline_exceeded")
    return replace(refused, headers={**refused.headers, "x-should-retry": "false"})


@dataclass(frozen=True, slots=True)
class Withheld:
    """A request that does not go where it was decided, for another reason: the caller's answer, and what its record
    says beside the decision."""

    answer: Answer
    said: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Stays:
    """A request that may not leave, and may go to a target inside."""

    reason: str


def escalation(decision: Decision) -> dict[str, str]:
    """What the caller is told of it."""
    scored = ""
    if decision.turn is not None and decision.complexity is not None:
        scored = f";score={decision.complexity:.4f};threshold={decision.turn.threshold:.4f}"
    elif decision.turn is not None and decision.confidence is not None:
        scored = f";score={decision.confidence:.4f};threshold={1.0 - decision.turn.threshold:.4f}"
    told = {DEGRADED: f"{decision.degraded}{scored}"} if decision.degraded else {}
    if decision.because is Because.COMPLEXITY:
        told[ESCALATED] = f"complexity{scored}"
    if decision.because is Because.UNAVAILABLE:
        told[ESCALATED] = "unavailable"
    if decision.because is Because.CONFIDENCE:
        told[ESCALATED] = f"confidence{scored}"
    if decision.because is Because.TOOL_CHOICE:
        told[ESCALATED] = "tool-choice"
    return told


def refusal(
    status: int, cause: str, message: str, code: str, kind: str = "server_error", param: str | None = None
) -> Answer:
    """An OpenAI error."""
    error = {"message": message, "type": kind, "param": param, "code": code}
    headers = {CAUSE: cause, "content-type": "application/json"}
    return Answer(status, headers, json.dumps({"error": error}).encode())


def unanswered() -> Answer:
    """To a request that failed outside, and that nobody inside answers. Envoy takes a 5xx for no answer; local replies
    make a 503 of this one."""
    message = (
        "The target outside cannot be reached or has failed, and no model inside can answer in its place: the egress "
        "is not there, or went away before it answered, or this gateway has just begun."
    )
    found = refusal(421, UNANSWERED, message, "target_unavailable")
    return replace(found, headers={**found.headers, DEGRADED: FAILING, "retry-after": "1"})


def kept_answer(kind: str, body: bytes, why: str) -> Answer:
    """The answer that was doubted, because nobody gave another."""
    return Answer(KEPT_STATUS, {"content-type": kind, DEGRADED: why}, body)


NOT_RECORDED: Final = refusal(503, "not-recorded", "The decision on this request cannot be recorded.", "unavailable")

NOT_KEPT: Final = refusal(503, "not-kept", "What is to be kept of this request cannot be kept now.", "unavailable")
"""Of a route with `audit.content`, where requests must not be served without a record."""


def record(decision: Decision, ready: Ready, request_id: str, caller: str) -> dict[str, Any]:
    """The body of its record. Texts alone: numbers in records are integers."""
    said: dict[str, Any] = {
        "kind": Kind.DECISION.value,
        "request.id": request_id,
        "slm.route": ready.policy.route,
        "slm.caller": caller,
        "slm.decision": decision.because.value,
        "slm.decision.target": decision.target.name if decision.target else "",
        "slm.decision.model": decision.target.model if decision.target else "",
        "slm.decision.boundary": INSIDE if decision.inside else "MayLeave",
        "slm.decision.policy": decision.policy,
    }
    if decision.reasons:
        said["slm.decision.reasons"] = ",".join(words(decision))
    if decision.rule:
        said["slm.decision.rule"] = decision.rule
    if decision.task_class:
        said["slm.decision.class"] = decision.task_class
    if decision.degraded:
        said["slm.decision.degraded"] = decision.degraded
    if decision.deadline is not None:
        said["slm.decision.deadline"] = f"{1000 * decision.deadline:.0f}"
        known = ((name, "unknown" if p95 is None else f"{1000 * p95:.0f}") for name, p95 in decision.measured)
        said["slm.decision.p95"] = ",".join(f"{name}:{p95}" for name, p95 in known)
    if decision.complexity is not None:
        said["slm.decision.complexity"] = f"{decision.complexity:.4f}"
    if decision.confidence is not None:
        said["slm.decision.confidence"] = f"{decision.confidence:.4f}"
    if decision.turn is not None:
        least = decision.turn.threshold
        said["slm.decision.threshold"] = f"{1.0 - least if decision.confidence is not None else least:.4f}"
        said["slm.decision.escalation"] = decision.scored
    return said


def may_leave(record: Mapping[str, Any]) -> bool:
    """Is it the record of a request that may leave? All others were inside, and are not missed where power fails."""
    return bool(record["slm.decision.boundary"] != INSIDE)


def words(decision: Decision) -> list[str]:
    """Its reasons to stay: `Found:Pii/Iban`, `Unlabelled`."""
    found = (":".join(filter(None, (r.reason, "/".join(filter(None, (r.detector, r.kind)))))) for r in decision.reasons)
    return list(dict.fromkeys(found))[:MOST_REASONS]
