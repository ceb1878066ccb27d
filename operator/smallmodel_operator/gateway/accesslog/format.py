"""One line of the access log: each JSON field and the Envoy command operator that fills it. Pure.

Names are OpenTelemetry's where it has one, ours (`slm.…`) otherwise. Never in a line: text of a request or an answer,
a query string, a credential. What a caller or an engine can choose is cut to a length.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

METADATA: Final = "smallmodel"
"""Namespace of the dynamic metadata the filters leave; xds/words.py lists its keys."""
REQUEST_HMAC: Final = "hmac"


@dataclass(frozen=True, slots=True)
class Field:
    """What fills a field, what it says, and its JSON type; a line leaves out what is not known. Where the operator
    is JOINED another field brings it."""

    operator: str
    meaning: str
    json: type[int] | type[str] = str


def _known(key: str) -> str:
    return f"%DYNAMIC_METADATA({METADATA}:{key})%"


JOINED: Final = ""
"""Operator of a field that is a part of a joined one."""


def _since_arrival(end: str) -> str:
    """Microseconds from the last byte of the request to a point in time."""
    return f"%COMMON_DURATION(DS_RX_END:{end}:us)%"


FIELDS: Final[Mapping[str, Field]] = MappingProxyType(
    {
        "time": Field("%START_TIME(%Y-%m-%dT%H:%M:%S.%6fZ)%", "when the request began to arrive, UTC"),
        "request.id": Field("%REQ(x-request-id):128%", "`x-request-id` of the answer"),
        "client.address": Field("%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%", "address of the caller"),
        "http.request.method": Field("%REQ(:method):16%", "method"),
        "url.path": Field("%PATH(NQ:PATH):128%", "path as served, without the query string, at most 128 characters"),
        "http.request.body.size": Field("%BYTES_RECEIVED%", "bytes of the request's body", int),
        "http.response.status_code": Field(
            "%RESPONSE_CODE%", "status; 0 when the caller left before there was one", int
        ),
        "http.response.body.size": Field("%BYTES_SENT%", "bytes of the answer's body", int),
        "http.response.content_type": Field("%RESP(content-type):64%", "content type; `text/event-stream` is a stream"),
        "error.type": Field(
            _known("error"), "for a status from 400 on: `slm.cause`, or `engine` when the engine said so"
        ),
        "gen_ai.operation.name": Field(JOINED, "`chat`, `text_completion`, `embeddings` or `rerank`"),
        "gen_ai.request.model": Field(_known("model"), "`model` of the request, at most 64 characters and `...`"),
        "gen_ai.response.model": Field(
            "%UPSTREAM_CLUSTER%", "`<namespace>/<name>` the request was sent to, held or not; `egress` where it left"
        ),
        "gen_ai.usage.input_tokens": Field(JOINED, "tokens of the prompt, from the answer's `usage`", int),
        "gen_ai.usage.output_tokens": Field(JOINED, "tokens generated, from the answer's `usage`", int),
        "slm.engine.input_tokens": Field(JOINED, "`timings.prompt_n`: tokens of the prompt computed", int),
        "slm.engine.cached_tokens": Field(JOINED, "`timings.cache_n`: tokens of the prompt reused", int),
        "slm.engine.output_tokens": Field(JOINED, "`timings.predicted_n`: tokens generated", int),
        "slm.target": Field(JOINED, "`<namespace>/<name>` of the SmallModel asked for; left out when there is none"),
        "slm.route": Field(
            JOINED,
            "`<namespace>/<route>/<target>` it came by; without a target where none was found; left out for none",
        ),
        "slm.left": Field(
            JOINED, "`<namespace>/<route>/<target>` outside the cluster that it was sent on to; left out for none"
        ),
        "slm.left.failure": Field(
            _known("failure"),
            "status and cause by which the target outside, or the way there, failed, of a request that came back in; "
            "left out where nobody said one",
        ),
        "slm.adapter": Field(JOINED, "name of the model's adapter that was asked for; left out for none"),
        "slm.caller": Field(JOINED, "`sa:<ns>/<name>`, `key:<ns>/<model>` or `key:<ns>/<model>/<key>`"),
        "slm.caller.namespace": Field(JOINED, "namespace of the caller; empty for keys without one"),
        "slm.digest": Field(JOINED, "digest of the model's weights, when it was asked"),
        "slm.template": Field(JOINED, "SHA-256 of the chat template in the model's weights"),
        "slm.engine.revision": Field(JOINED, "hash of the engine's image and template, see [records](audit.md)"),
        "slm.policy": Field(JOINED, "hash of what was in force for the model, see [records](audit.md)"),
        "slm.request.hmac": Field(
            _known(REQUEST_HMAC),
            "`<key>:<HMAC-SHA-256 of the body>`, or `<key>:too-large`; only for models with `spec.audit.requestHMAC`, "
            "see [records](audit.md)",
        ),
        "slm.cause": Field("%RESP(x-slm-cause):64%", "why it failed; `engine`: the engine said so"),
        "slm.attempts": Field(
            "%UPSTREAM_REQUEST_ATTEMPT_COUNT%", "times it was sent on; at least 2 when it was held", int
        ),
        "slm.upstream.address": Field("%UPSTREAM_REMOTE_ADDRESS%", "pod, or activator, of the last attempt"),
        "slm.response.flags": Field("%RESPONSE_FLAGS%", "Envoy's response flags; `-` for none"),
        "slm.response.details": Field("%RESPONSE_CODE_DETAILS%", "Envoy's response code details"),
        "slm.receive_us": Field("%COMMON_DURATION(DS_RX_BEG:DS_RX_END:us)%", "µs the request took to arrive", int),
        "slm.hold_us": Field(
            _since_arrival("US_TX_BEG"), "µs from its last byte until the last attempt: the hold", int
        ),
        "slm.ttft_us": Field(
            _since_arrival("US_RX_BODY_BEG"), "µs from its last byte to the first of the answer's body", int
        ),
        "slm.end_to_end_us": Field(_since_arrival("DS_TX_END"), "µs from its last byte to the last of the answer", int),
        "slm.duration_ms": Field("%DURATION%", "ms from its first byte until it was over, however it ended", int),
    }
)


BAR: Final = "|"
CALL: Final = "call"
USAGE: Final = "usage"
ROUTE: Final = "route"
JOINS: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = MappingProxyType(
    {
        CALL: (_known("call"), ("slm.caller", "slm.caller.namespace", "gen_ai.operation.name", "slm.target")),
        USAGE: (
            _known("usage"),
            (
                "gen_ai.usage.input_tokens",
                "gen_ai.usage.output_tokens",
                "slm.engine.input_tokens",
                "slm.engine.cached_tokens",
                "slm.engine.output_tokens",
            ),
        ),
        ROUTE: ("%ROUTE_NAME%", ("slm.digest", "slm.template", "slm.engine.revision", "slm.policy")),
    }
)
"""Fields that Envoy writes as one, with bars between them: a field of its own for each would cost a request 10 µs. By
name in the line: the operator, and the fields in order, each empty if it is not known. An adapter stands behind the
target, after a colon, and a route behind both, after an @. The route of what leaves is called `>` and its target."""


def fields() -> dict[str, str]:
    """`json_format` of Envoy's file access log."""
    own = {name: field.operator for name, field in FIELDS.items() if field.operator != JOINED}
    return own | {name: operator for name, (operator, _) in JOINS.items()}
