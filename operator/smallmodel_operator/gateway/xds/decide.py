"""Where Envoy asks for decisions, of whom, and what it does with the answer: parts of its configuration. Pure.

The agent decides (gateway/decide); Envoy asks it once for each request of a route, with the body, and goes by the
target it names. A route without an answer leads to no target: there is no way on that does not name one.
"""

from collections.abc import Mapping
from typing import Any, Final

from smallmodel_operator.gateway.decide.answer import (
    ASK,
    CAUSE,
    CHOSEN,
    DECISION,
    DEGRADED,
    ESCALATED,
    INSTEAD,
    JUDGE,
    JUDGED,
    KEPT_STATUS,
    NO_CALL,
    PASS,
    TARGET,
    TOO_SLOW,
    UNANSWERED,
    UNCOUNTED,
)
from smallmodel_operator.gateway.state import LARGEST_BODY_BYTES
from smallmodel_operator.gateway.xds.replies import Reply, details, expression, mapper
from smallmodel_operator.gateway.xds.site import Site
from smallmodel_operator.gateway.xds.words import ADAPTER, ASKED, PLACE, ROUTE, extension, typed
from smallmodel_operator.routing.deadline import HEADER as DEADLINE
from smallmodel_operator.routing.declared import LABEL_HEADER
from smallmodel_operator.routing.detect.decide import MOST_BYTES

NAME: Final = "envoy.filters.http.ext_authz"
CLUSTER: Final = "decide"
CALLER: Final = "x-slm-caller"
NAMESPACE: Final = "x-slm-caller-namespace"
NAME_SAID: Final = "x-slm-model-said"
"""The name of the model as a caller wrote it, of a request that comes back in with another."""
FAILED: Final = "/instead"
"""In front of the path of a request that failed outside."""
ATTEMPT: Final = "/attempt"
"""In front of the path of one whose answer is judged."""
MOST_BODY: Final = MOST_BYTES + 1
"""Bytes of a body that are sent to the agent: a longer one is cut, and is inside for being so long."""
NOWHERE: Final = "x-slm-undecided"
WAIT: Final = "6s"
"""More than a decision may take in the agent, recognizers and its record included."""
NO_ANSWER: Final = Reply(
    503,
    "undecided",
    "The gateway cannot decide where this request may go, so it goes nowhere.",
    code="unavailable",
    retry_after=1,
    details="ext_authz_error",
)
_EXT_AUTHZ: Final = "envoy.extensions.filters.http.ext_authz.v3"
_TOLD: Final = (
    ROUTE, CALLER, NAMESPACE, CHOSEN, ADAPTER, DEADLINE, LABEL_HEADER, PLACE, "x-request-id", "content-type",
    "content-encoding",
)  # fmt: skip
_BACK: Final = 64 * 1024
"""Bytes by which the outside's name of a model may be longer than its route's."""
_SECRET: Final = ("authorization", "cookie", ASKED)


def decides(door: str = "") -> dict[str, Any]:
    """The filter. It is off until a route turns it on (`asks`). `door`: an inner one, where who decides says whose
    request it is. What failed outside (`FAILED`) is not let out again; an answer is judged once (`ATTEMPT`)."""
    told = ("x-request-id",) if door else _TOLD
    more = {"": (PASS, INSTEAD, JUDGED), FAILED: (NAME_SAID,), ATTEMPT: (PASS, JUDGE, ASK)}[door]
    said = (DECISION, TARGET, *more, *((ROUTE, CALLER, NAMESPACE) if door else ()))
    return {
        **extension(
            NAME,
            f"{_EXT_AUTHZ}.ExtAuthz",
            transport_api_version="V3",
            failure_mode_allow=False,
            status_on_error={"code": "ServiceUnavailable"},
            clear_route_cache=True,
            validate_mutations=True,
            # Not whole: a body over the bound is no reason to refuse it, it is a reason to keep it inside.
            with_request_body={
                "max_request_bytes": MOST_BODY + (door == FAILED) * _BACK,
                "allow_partial_message": True,
            },
            allowed_headers=_exactly(*told),
            disallowed_headers=_exactly(*_SECRET),
            http_service={
                "server_uri": {"uri": f"http://{CLUSTER}", "cluster": CLUSTER, "timeout": WAIT},
                **({"path_prefix": door} if door else {}),
                "authorization_response": {
                    "allowed_upstream_headers": _exactly(*said),
                    "allowed_client_headers_on_success": _exactly(ESCALATED, DEGRADED),
                },
            },
            stat_prefix=CLUSTER,
        ),
        "disabled": True,
    }


def _exactly(*names: str) -> dict[str, Any]:
    return {"patterns": [{"exact": name} for name in names]}


def present() -> dict[str, Any]:
    """For the first route a request has, by which Envoy picks its filters: this one is among them."""
    return {NAME: typed("envoy.config.route.v3.FilterConfig", config={})}


def asks() -> dict[str, Any]:
    """For a route whose requests are decided on."""
    return {NAME: typed(f"{_EXT_AUTHZ}.ExtAuthzPerRoute", check_settings={"context_extensions": {"decide": "1"}})}


def asks_not() -> dict[str, Any]:
    """For any other route, where `present` is."""
    return {NAME: typed(f"{_EXT_AUTHZ}.ExtAuthzPerRoute", disabled=True)}


def cluster(site: Site) -> dict[str, Any]:
    """The agent."""
    endpoint = {"endpoint": {"address": {"pipe": {"path": site.decide_socket}}}}
    return {
        "name": CLUSTER,
        "type": "STATIC",
        "connect_timeout": "1s",
        "per_connection_buffer_limit_bytes": 2 * MOST_BODY,
        "load_assignment": {"cluster_name": CLUSTER, "endpoints": [{"lb_endpoints": [endpoint]}]},
    }


def replies() -> list[dict[str, Any]]:
    """Mappers for the local replies of the listener, before its others: what the agent refuses is an answer of its own;
    what it does not answer (Envoy takes its 5xx for that, too) is one of Envoy's."""
    own = {"filter": details("ext_authz_denied")}
    kept = expression(f"response.code_details == 'ext_authz_denied' && response.code == {KEPT_STATUS}")
    really = [_really(UNCOUNTED, 503), _really(UNANSWERED, 503), _really(TOO_SLOW, 504), _really(NO_CALL, 502)]
    return [*really, {"filter": kept, "status_code": 200}, own, mapper(NO_ANSWER)]


def _really(cause: str, status: int) -> dict[str, Any]:
    """A refusal for which the agent says a 4xx, for Envoy takes its 5xx for no answer at all."""
    said = f"'{CAUSE}' in response.headers && response.headers['{CAUSE}'] == '{cause}'"
    return {"filter": expression(f"response.code_details == 'ext_authz_denied' && {said}"), "status_code": status}


def nowhere(**more: Any) -> dict[str, Any]:
    """A route (`envoy.config.route.v3.Route`, without its type) that asks, and leads nowhere; `more`: per filter."""
    return {
        "match": {"prefix": "/"},
        # That header is never there. (A direct response would not raise the limit of buffered bodies.)
        "route": {"cluster_header": NOWHERE, "cluster_not_found_response_code": "SERVICE_UNAVAILABLE"},
        "request_body_buffer_limit": LARGEST_BODY_BYTES,
        "typed_per_filter_config": {**asks(), **more},
    }


def by_target(targets: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """A matcher: the route (`envoy.config.route.v3.Route`, without its type) of the target that was decided on.

    On the way in no target is named yet, and none is whenever Envoy goes on without an answer: that route asks, and
    leads nowhere.
    """
    route = "envoy.config.route.v3.Route"
    found = {
        name: {"action": {"name": "target", "typed_config": typed(route, **value)}} for name, value in targets.items()
    }
    named = typed("envoy.type.matcher.v3.HttpRequestHeaderMatchInput", header_name=TARGET)
    return {
        "matcher_tree": {"input": {"name": "target", "typed_config": named}, "exact_match_map": {"map": found}},
        "on_no_match": {"action": {"name": "undecided", "typed_config": typed(route, **nowhere())}},
    }
