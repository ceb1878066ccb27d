"""Envoy's own answers as OpenAI error objects. What the Lua filters answered stays as it is."""

import json
from dataclasses import dataclass, replace
from typing import Any, Final

from smallmodel_operator.gateway.boundary.words import CUT, CUTTING
from smallmodel_operator.gateway.xds.words import METADATA, extension, header


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer: for a status, and with `flags` only for these response flags of Envoy."""

    status: int
    cause: str
    message: str
    kind: str = "server_error"
    code: str | None = None
    flags: tuple[str, ...] = ()
    retry_after: int | None = None
    details: str = ""
    """Envoy's word for why, where no flag is set yet when the answer is made."""
    said: int | None = None
    """What the caller gets, where Envoy's own status says less."""


BAD: Final = "invalid_request_error"
NO_MEMORY: Final = Reply(
    503,
    "overloaded",
    "The gateway has too little memory for this request now.",
    details="overload",
    code="overloaded",
    retry_after=1,
    said=503,
)
"""New requests, and (Envoy says 500) bodies it reads no further: see bootstrap.py."""
EITHER: Final = "The gateway takes no requests now: answers cannot be recorded, or it has too little memory."
REPLIES: Final = (
    Reply(400, "bad-request", "This is not a request the gateway can read.", BAD, "bad_request"),
    Reply(404, "unknown-model", "There is no such model.", BAD, "model_not_found"),
    Reply(408, "request-too-slow", "The request did not arrive in time.", BAD, "request_timeout"),
    Reply(413, "body-too-large", "The body is larger than any model takes.", BAD, "request_too_large"),
    Reply(426, "http-version", "Use HTTP/1.1 or HTTP/2.", BAD, "http_version"),
    Reply(
        429,
        "rate-limited",
        "This caller has sent more requests than the model's spec.access.limits.requestsPerMinute.",
        "requests",
        "rate_limit_exceeded",
    ),
    Reply(431, "headers-too-large", "The request's headers are too large.", BAD, "headers_too_large"),
    NO_MEMORY,
    replace(NO_MEMORY, status=500),
    Reply(503, "no-endpoint", "No pod of the model can answer.", flags=("UH",), code="unavailable", retry_after=1),
    Reply(503, "model-new", "The model is being added.", flags=("NC",), code="unavailable", retry_after=1),
    Reply(503, "overloaded", "The gateway has too many requests.", flags=("UO",), code="overloaded", retry_after=1),
    Reply(
        503,
        "engine-unreachable",
        "The model's pods could not be reached, or went away before they answered.",
        flags=("UF", "UC", "LR", "UR", "URX"),
        code="unavailable",
        retry_after=1,
    ),
    Reply(503, "unavailable", "The gateway cannot answer now.", code="unavailable", retry_after=1),
    Reply(504, "engine-silent", "The model's engine has said nothing for too long.", code="timeout"),
)
OTHER: Final = "The gateway could not answer this request."


CUT_REPLY: Final = Reply(503, "cut", CUT, code="inference_cut", retry_after=1, details="stream_idle_timeout", said=503)


def local_replies(*, refuse: bool = False) -> dict[str, Any]:
    """`local_reply_config` of the connection manager. `refuse`: Envoy is also stopped while nothing can be recorded."""
    ours = {"metadata_filter": {"matcher": _answered_by_lua(), "match_if_key_not_found": False}}
    return {"mappers": [{"filter": ours}, _cut(), *(mapper(_either(r) if refuse else r) for r in REPLIES), _rest()]}


def _cut() -> dict[str, Any]:
    """What Envoy says of a stream that was silent for too long, while all are cut."""
    never = {"numerator": 0, "denominator": "HUNDRED"}
    now = {"runtime_filter": {"runtime_key": CUTTING, "percent_sampled": never, "use_independent_randomness": True}}
    return {**mapper(CUT_REPLY), "filter": {"and_filter": {"filters": [now, details(CUT_REPLY.details)]}}}


def _either(reply: Reply) -> Reply:
    """Envoy has one word for both."""
    return replace(reply, message=EITHER) if reply.details == NO_MEMORY.details else reply


def _answered_by_lua() -> dict[str, Any]:
    return {"filter": METADATA, "path": [{"key": "own"}], "value": {"present_match": True}}


def _status(operator: str, status: int) -> dict[str, Any]:
    value = {"default_value": status, "runtime_key": "smallmodel.unused"}
    return {"status_code_filter": {"comparison": {"op": operator, "value": value}}}


def mapper(reply: Reply) -> dict[str, Any]:
    """One of `local_reply_config`."""
    condition = _status("EQ", reply.status)
    if reply.flags:
        condition = {"and_filter": {"filters": [condition, {"response_flag_filter": {"flags": list(reply.flags)}}]}}
    if reply.details:
        condition = {"and_filter": {"filters": [condition, details(reply.details)]}}
    headers = [header("x-slm-cause", reply.cause)]
    if reply.retry_after is not None:
        headers.append(header("retry-after", str(reply.retry_after)))
    found = {"filter": condition, "headers_to_add": headers, "body_format_override": _body(reply)}
    return found | ({"status_code": reply.said} if reply.said else {})


def details(word: str) -> dict[str, Any]:
    """A filter of answers by Envoy's word for why."""
    return expression(f"response.code_details == '{word}'")


def expression(text: str) -> dict[str, Any]:
    """A filter of answers in CEL."""
    kind = "envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter"
    cel = extension("envoy.access_loggers.extension_filters.cel", kind, expression=text)
    return {"extension_filter": cel}


def _rest() -> dict[str, Any]:
    reply = Reply(500, "gateway", OTHER, code="gateway_error")
    return {
        "filter": _status("GE", 400),
        "headers_to_add": [header("x-slm-cause", reply.cause)],
        "body_format_override": _body(reply),
    }


def _body(reply: Reply) -> dict[str, Any]:
    error = {"message": reply.message, "type": reply.kind, "param": None, "code": reply.code}
    text = json.dumps({"error": error}).replace("%", "%%")
    return {"text_format_source": {"inline_string": text}, "content_type": "application/json"}
