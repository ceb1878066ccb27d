"""The way out of a gateway: to the egress, for requests with a pass. Pure.

Two routes for each target outside. Only the filter `decided` names the header that finds one, and without the pass that
the agent has put in it matches nothing. Nothing is sent out again: what was let out once is sent once. By one of them a
request that fails comes back in (instead.py), by the other, of who names the target, it gets the error.
"""

from typing import Any, Final

from smallmodel_operator.gateway.decide.answer import PASS, TARGET
from smallmodel_operator.gateway.routed import Lead
from smallmodel_operator.gateway.state import LARGEST_BODY_BYTES, WAY_OUT
from smallmodel_operator.gateway.xds import scripts
from smallmodel_operator.gateway.xds.replies import Reply, mapper
from smallmodel_operator.gateway.xds.site import Site
from smallmodel_operator.gateway.xds.words import METADATA, extension, seconds, typed

SECRET: Final = ("authorization", "cookie", "x-slm-caller-namespace", "x-slm-address", "x-slm-decision")
"""Of the caller. The egress lets none of them out either."""
IDLE: Final = "30s"
BUFFER: Final = 64 * 1024
"""Bytes kept of what the egress says faster than its caller reads."""
LEFT: Final = "left"
"""Key of the metadata of a request that was on its way out."""
RETRIES: Final = 100_000
"""At once: Envoy's own bound is three."""
UNREACHABLE: Final = Reply(
    503,
    "outside-unreachable",
    "The target outside cannot be reached: the egress is not there, or went away before it answered.",
    code="target_unavailable",
    retry_after=1,
)
SILENT: Final = Reply(504, "outside-silent", "The target outside has said nothing for too long.", code="timeout")
_OPTIONS: Final = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def way(lead: Lead) -> str:
    """The header that finds the route: only `decided` can make it."""
    return f">{lead.target}"


def and_back(lead: Lead) -> str:
    """The same of what comes back in where it fails."""
    return f">?{lead.target}"


def routes(lead: Lead, site: Site) -> dict[str, dict[str, Any]]:
    """Each an `envoy.config.route.v3.Route` without its type, by the header that finds it."""
    once = _route(lead, site)
    back = {**once["route"], "idle_timeout": seconds(3 * site.silence), "retry_policy": _instead(site)}
    return {way(lead): once, and_back(lead): {**once, "route": back}}


def _instead(site: Site) -> dict[str, Any]:
    """Of all attempts the first alone leads out: the cluster's other priority leads back in. Only while nothing of an
    answer has been passed on; `per_try_timeout` is how long there may be none."""
    previous = "envoy.extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig"
    return {
        "retry_on": "5xx,retriable-status-codes",
        "retriable_status_codes": [429],
        "num_retries": 1,
        "per_try_timeout": seconds(site.silence),
        "retry_back_off": {"base_interval": "0.001s", "max_interval": "0.01s"},
        "retry_priority": extension("envoy.retry_priorities.previous_priorities", previous, update_frequency=1),
    }


def _route(lead: Lead, site: Site) -> dict[str, Any]:
    named = {"name": TARGET, "string_match": {"exact": lead.target}}
    return {
        "name": way(lead),
        "match": {"prefix": "/v1/", "headers": [{"name": PASS, "present_match": True}, named]},
        "route": {
            "cluster": WAY_OUT,
            "timeout": "0s",
            "idle_timeout": seconds(site.silence),
            "retry_policy": {"num_retries": 0},
        },
        "request_headers_to_remove": list(SECRET),
        "request_body_buffer_limit": LARGEST_BODY_BYTES,
    }


def cluster() -> dict[str, Any]:
    """The egress. Its pod is ready when it takes passes; nothing is asked of it beside."""
    codec = "envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec"
    failure = {"inline_string": scripts.program(scripts.FAILURE)}
    return {
        "name": WAY_OUT,
        "type": "EDS",
        "eds_cluster_config": {"eds_config": {"ads": {}, "resource_api_version": "V3"}, "service_name": WAY_OUT},
        "lb_policy": "LEAST_REQUEST",
        "connect_timeout": "1s",
        "per_connection_buffer_limit_bytes": BUFFER,
        "circuit_breakers": {"thresholds": [{"max_retries": RETRIES}]},
        "ignore_health_on_host_removal": True,
        "common_lb_config": {"update_merge_window": "0s"},
        "typed_extension_protocol_options": {
            _OPTIONS: typed(
                _OPTIONS,
                common_http_protocol_options={"idle_timeout": IDLE},
                explicit_http_config={"http_protocol_options": {}},
                http_filters=[
                    extension(scripts.FAILURE, "envoy.extensions.filters.http.lua.v3.Lua", default_source_code=failure),
                    extension("envoy.filters.http.upstream_codec", codec),
                ],
            )
        },
    }


def replies() -> list[dict[str, Any]]:
    """Mappers for Envoy's own answers to requests that were on their way out, before those about models."""
    left = {"filter": METADATA, "path": [{"key": LEFT}], "value": {"present_match": True}}
    was = {"metadata_filter": {"matcher": left, "match_if_key_not_found": False}}
    made = [mapper(reply) for reply in (UNREACHABLE, SILENT)]
    return [{**one, "filter": {"and_filter": {"filters": [was, one["filter"]]}}} for one in made]
