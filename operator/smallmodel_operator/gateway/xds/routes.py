"""Routes: one for each model, found by a header only the gateway sets, and the one that dispatches; and one for each
ModelRoute with rules, whose requests wait there for a decision.

The dispatch route is the first that matches, because the header is not set yet. It brings the Lua that decides, with
all it has to know, so a new key or model changes routes and never a listener (which would drain connections).
"""

from typing import Any, Final

from smallmodel_operator.core.keys import engine_key
from smallmodel_operator.gateway.policy import engine_revision, policy_hash
from smallmodel_operator.gateway.routed import Route
from smallmodel_operator.gateway.state import LARGEST_BODY_BYTES, Model, State
from smallmodel_operator.gateway.xds import decide, judged, leave, scripts
from smallmodel_operator.gateway.xds.site import Site
from smallmodel_operator.gateway.xds.words import (
    ADAPTER,
    ASKED,
    PLACE,
    RATE_LIMIT,
    ROUTE,
    ROUTES,
    formatted,
    header,
    resources,
    seconds,
    typed,
)
from smallmodel_operator.routing.deadline import HEADER as DEADLINE
from smallmodel_operator.routing.declared import LABEL_HEADER

NAME: Final = "models"
NOWHERE: Final = "x-slm-nowhere"
CALLERS: Final = 10_000
"""Callers of one model whose rate is remembered at a time."""
SMALL_BODY: Final = 1024 * 1024
"""Kept whole even where every model takes less: their own answer is better than Envoy's."""
UPLOAD_SILENCE: Final = "60s"
TIMING: Final = (
    "gateway;dur=%COMMON_DURATION(DS_RX_BEG:DS_RX_END:us)%e-3, hold;dur=%COMMON_DURATION(DS_RX_END:US_TX_BEG:us)%e-3, "
    "engine;dur=%COMMON_DURATION(US_TX_BEG:US_RX_BEG:us)%e-3"
)
"""`Server-Timing` has milliseconds, Envoy whole ones or microseconds: the exponent is a number's, too."""
_ROUTE: Final = "envoy.config.route.v3.Route"
_LUA: Final = "envoy.extensions.filters.http.lua.v3.LuaPerRoute"


def routes(state: State, site: Site) -> dict[str, Any]:
    """rds.json."""
    dispatch = {"action": {"name": "dispatch", "typed_config": typed(_ROUTE, **_dispatch(state))}}
    found = {_way(model): _on_match("model", _model(state, model, site)) for _, model in sorted(state.models.items())}
    for route in _asking(state):
        found[f"+{route.path}"] = _on_match("decision", _undecided(state, route))
        ways = [leave.routes(lead, site) for lead in route.outside]
        found |= {header: _on_match("leave", one) for way in ways for header, one in way.items()}
    if state.judges:
        found[judged.WAY] = _on_match("judged", judged.route(state, site))
    matcher = {
        "matcher_tree": {
            "input": {
                "name": "route",
                "typed_config": typed("envoy.type.matcher.v3.HttpRequestHeaderMatchInput", header_name=ROUTE),
            },
            "exact_match_map": {"map": found or {"-": dispatch}},  # the map may not be empty
        },
        "on_no_match": dispatch,
    }
    host = {
        "name": NAME,
        "domains": ["*"],
        "matcher": matcher,
        "retry_policy": _retries(),
        "include_request_attempt_count": True,  # the activator tells by it who comes back
        "request_headers_to_remove": ["x-slm-caller", ROUTE, ASKED, PLACE, ADAPTER, LABEL_HEADER, DEADLINE],
        "response_headers_to_remove": ["x-slm-activated", judged.DOUBT],
    }
    return resources(ROUTES, [{"name": NAME, "virtual_hosts": [host]}])


def _way(model: Model) -> str:
    """The header `ROUTE` of its requests: what the address (or the caller's namespace) and the body name together.

    Of models with adapters it is one that only the filter `target` makes, which has to pass all their requests: what a
    body names is never at its beginning.
    """
    if model.lora:
        return f"+{model.target}"
    return f"{model.target}|{model.target.partition('/')[2]}"


def _on_match(name: str, route: dict[str, Any]) -> dict[str, Any]:
    return {"action": {"name": name, "typed_config": typed(_ROUTE, **route)}}


def _asking(state: State) -> list[Route]:
    """Those whose requests are asked for, by their path: only the filter `target` makes a header that finds one, of
    callers who may use the route. No model has the same path."""
    return [route for _, route in sorted(state.routes.items()) if route.asks]


def _undecided(state: State, route: Route) -> dict[str, Any]:
    code = {"inline_string": scripts.decided(route, state)}
    return decide.nowhere(**{scripts.DECIDED: typed(_LUA, source_code=code)})


def _model(state: State, model: Model, site: Site) -> dict[str, Any]:
    key = engine_key(state.engine_master, model.uid)
    route: dict[str, Any] = {
        "name": _in_force(model),
        "match": {"prefix": "/"},
        "route": {
            "cluster": model.target,
            "timeout": "0s",
            "idle_timeout": seconds(site.silence + model.max_wait),
        },
        "request_headers_to_add": [header("authorization", f"Bearer {key}")],
        "response_headers_to_add": [formatted("server-timing", TIMING)],
        "request_body_buffer_limit": LARGEST_BODY_BYTES,  # a held body is sent again, so it has to be kept whole
    }
    if model.digest:
        route["response_headers_to_add"].append(header("x-slm-model-digest", model.digest))
    told: dict[str, Any] = {"disabled": True}  # all that the target decides is decided
    if model.request_key:
        told = {"name": scripts.HMAC, "filter_context": scripts.stamp(state, model)}
    route["typed_per_filter_config"] = {scripts.TARGET: typed(_LUA, **told)}
    if _asking(state):
        route["typed_per_filter_config"] |= {**decide.asks_not(), scripts.DECIDED: typed(_LUA, disabled=True)}
    if model.access.requests_per_minute:
        route["typed_per_filter_config"][RATE_LIMIT] = _limit(model.access.requests_per_minute)
    return route


def _in_force(model: Model) -> str:
    """For the access log, see format.py: no header tells a caller. As the route's name, because nothing else of a route
    gets there as cheaply."""
    words = (model.digest[:128], model.chat_template, engine_revision(model), policy_hash(model))
    return "|".join(word.replace("|", "?") for word in words)


def _limit(per_minute: int) -> dict[str, Any]:
    always = {"default_value": {"numerator": 100}}
    bucket = {"max_tokens": per_minute, "tokens_per_fill": per_minute, "fill_interval": "60s"}
    return typed(
        "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit",
        stat_prefix="callers",
        filter_enabled=always,
        filter_enforced=always,
        token_bucket=bucket,
        always_consume_default_token_bucket=False,
        max_dynamic_descriptors=CALLERS,
        descriptors=[{"entries": [{"key": "caller"}], "token_bucket": bucket}],
        rate_limits=[{"actions": [{"request_headers": {"header_name": "x-slm-caller", "descriptor_key": "caller"}}]}],
        enable_retry_after_header=True,
    )


def _retries() -> dict[str, Any]:
    """Only while nothing of an answer has been passed on. All attempts together take more than 5 s: long enough for
    another gateway's activator, or the own one restarted, to take over what was held."""
    return {
        "retry_on": "reset,connect-failure,refused-stream,retriable-headers",
        "num_retries": 40,
        "retry_back_off": {"base_interval": "0.02s", "max_interval": "0.5s"},
        "retriable_headers": [{"name": "x-slm-activated", "string_match": {"exact": "1"}}],
        "retry_host_predicate": [
            {
                "name": "envoy.retry_host_predicates.previous_hosts",
                "typed_config": typed("envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"),
            }
        ],
        "host_selection_retry_max_attempts": 3,
        "retry_priority": {
            "name": "envoy.retry_priorities.previous_priorities",
            "typed_config": typed(
                "envoy.extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig", update_frequency=1
            ),
        },
    }


def _dispatch(state: State) -> dict[str, Any]:
    brought = {name: _lua(name, state) for name in (scripts.DOOR, scripts.TARGET)}
    if any(model.access.requests_per_minute for model in state.models.values()):
        # Envoy picks a request's filters by its first route, which is this one; the model's brings the limit itself.
        brought[RATE_LIMIT] = typed("envoy.config.route.v3.FilterConfig", config={})
    if _asking(state):
        brought |= {**decide.present(), scripts.DECIDED: typed("envoy.config.route.v3.FilterConfig", config={})}
    return {
        "match": {"prefix": "/"},
        # To nowhere, 404: that header is never there. (A direct response would not raise the limit of buffered bodies.)
        "route": {"cluster_header": NOWHERE, "cluster_not_found_response_code": "NOT_FOUND"},
        "typed_per_filter_config": brought,
        "request_body_buffer_limit": max(scripts.largest_body(state), SMALL_BODY),
    }


def _lua(name: str, state: State) -> dict[str, Any]:
    code = {"inline_string": scripts.script(name, state)}
    return typed(_LUA, source_code=code)
