"""Answers that are judged (ADR 39): a way to a door of the own pod, and that door, which keeps an answer back until who
decides has said what becomes of it. Pure.

The way's retries are the attempts: each comes in at the door anew, and is decided on, counted, recorded and logged
there as any request; a header of the door's says that its answer is none. While all goes well there is one.
"""

from collections.abc import Mapping
from typing import Any, Final

from smallmodel_operator.gateway.state import LARGEST_BODY_BYTES, State
from smallmodel_operator.gateway.xds import decide, instead, scripts
from smallmodel_operator.gateway.xds.site import Site
from smallmodel_operator.gateway.xds.words import extension, seconds, typed

NAME: Final = "judged"
WAY: Final = "?"
"""The header that finds the way: only `decided` can make it."""
DOUBT: Final = "x-slm-doubt"
"""Of an answer that nobody is given."""
ANSWER: Final = "/answer"
"""In front of the token of a request whose answer is judged."""
ATTEMPTS: Final = 4
"""Who is asked first, the same by a schema, a larger one, and what is said where all of them failed."""
UNNAMED: Final = "|||"
"""Of a route with no model of its own, in the log."""
SECRET: Final = ("authorization", "cookie")
PLENTY: Final = 100_000
_OPTIONS: Final = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def listener(site: Site, manager: Mapping[str, Any]) -> dict[str, Any]:
    """`manager`: the connection manager of any door. Who judges sees an answer after its tokens were counted."""
    found = instead.inner(manager, decide.ATTEMPT)
    code = {"inline_string": scripts.program(scripts.JUDGE)}
    judge = extension(scripts.JUDGE, "envoy.extensions.filters.http.lua.v3.Lua", default_source_code=code)
    found = {**found, "http_filters": [judge, *found["http_filters"]]}
    return instead.door(NAME, site.judged_socket, found)


def route(state: State, site: Site) -> dict[str, Any]:
    """An `envoy.config.route.v3.Route` without its type."""
    longest = max((model.max_wait for model in state.models.values()), default=0.0)
    return {
        "name": UNNAMED,
        "match": {"prefix": "/v1/"},
        "route": {
            "cluster": NAME,
            "timeout": "0s",
            "idle_timeout": seconds(ATTEMPTS * (site.silence + longest)),
            "retry_policy": {
                "retry_on": "retriable-headers",
                "retriable_headers": [{"name": DOUBT, "present_match": True}],
                "num_retries": ATTEMPTS - 1,
                "retry_back_off": {"base_interval": "0.001s", "max_interval": "0.01s"},
            },
        },
        "request_headers_to_remove": list(SECRET),
        "request_body_buffer_limit": LARGEST_BODY_BYTES,
    }


def cluster(site: Site) -> dict[str, Any]:
    """The door."""
    endpoint = {"endpoint": {"address": {"pipe": {"path": site.judged_socket}}}}
    limits = {f"max_{what}": PLENTY for what in ("connections", "pending_requests", "requests", "retries")}
    return {
        "name": NAME,
        "type": "STATIC",
        "connect_timeout": "1s",
        "per_connection_buffer_limit_bytes": 64 * 1024,
        "circuit_breakers": {"thresholds": [limits]},
        "load_assignment": {"cluster_name": NAME, "endpoints": [{"lb_endpoints": [endpoint]}]},
        "typed_extension_protocol_options": {
            _OPTIONS: typed(
                _OPTIONS,
                common_http_protocol_options={"idle_timeout": "30s"},
                explicit_http_config={"http_protocol_options": {}},
            )
        },
    }
