"""The egress's Envoy, whole and static: it knows the declared hosts and nothing else, and starts anew for others. Pure.

Every request is asked about (ext_authz, closed where nobody answers), with its whole body; who checks names the way it
may go, of each host one for streams and one for answers that are whole when they begin. The route a request has before
leads nowhere. There are no retries: what was let out once is sent once.
"""

from collections.abc import Sequence
from typing import Any, Final

from smallmodel_operator.boundary.declared import Declared
from smallmodel_operator.gateway.egress.clusters import checker, outside, secret
from smallmodel_operator.gateway.egress.log import access_log, kept
from smallmodel_operator.gateway.egress.site import MOST_BODY, EgressSite
from smallmodel_operator.gateway.egress.words import CHECK, PASS, POLICY, STREAM, TARGET, WAY
from smallmodel_operator.gateway.xds.replies import BAD, Reply, details, mapper
from smallmodel_operator.gateway.xds.words import extension, typed

CONNECTIONS: Final = 5_000
SILENCE: Final = "300s"
"""How long a host may say nothing once its answer has begun."""
UPLOAD: Final = "20s"
"""How long a request may take to arrive: less than a pass is good for."""
PATTERNS: Final = "re2.max_program_size.error_level"
"""The size of Envoy's patterns; that of all names but some is some thousands, and 100 is what it takes by itself."""
NOWHERE: Final = "x-slm-nowhere"
WAIT: Final = "3s"
FULL: Final = 0.75
"""Share of the memory from which requests are refused."""
_AUTHZ: Final = "envoy.extensions.filters.http.ext_authz.v3.ExtAuthz"
_HEAP: Final = "envoy.resource_monitors.fixed_heap"
REPLIES: Final = (
    Reply(
        503,
        "unchecked",
        "The egress cannot check this request's pass, so it goes nowhere.",
        code="unavailable",
        retry_after=1,
        details="ext_authz_error",
    ),
    Reply(
        401,
        "no-credential",
        "The egress has no credential of this target.",
        code="unavailable",
        said=503,
    ),
    Reply(413, "body-too-large", "No request as large as this one may leave.", BAD, "request_too_large"),
    Reply(408, "request-too-slow", "The request did not arrive in time.", BAD, "request_timeout"),
    Reply(
        503,
        "outside-unreachable",
        "The target outside cannot be reached, or does not prove who it is.",
        flags=("UF", "UH"),
        code="unavailable",
        retry_after=1,
    ),
    Reply(
        503,
        "outside-broken",
        "The target outside broke off before it answered.",
        flags=("UC", "LR", "UR"),
        code="unavailable",
        retry_after=1,
    ),
    Reply(503, "unavailable", "The egress cannot answer now.", code="unavailable", retry_after=1),
    Reply(504, "outside-silent", "The target outside has said nothing for too long.", code="timeout"),
)


def bootstrap(hosts: Sequence[Declared], site: EgressSite) -> dict[str, Any]:
    """bootstrap.json."""
    return {
        "node": {"id": "egress", "cluster": "egress"},
        "admin": {"address": {"pipe": {"path": site.admin_socket, "mode": 0o600}}},
        "static_resources": {
            "listeners": [_listener(hosts, site)],
            "clusters": [checker(site), *(outside(h, site) for h in hosts)],
            "secrets": [secret(h, site) for h in hosts if h.credential],
        },
        "overload_manager": _overload(site),
        "layered_runtime": {"layers": [{"name": "constant", "static_layer": {PATTERNS: 10_000}}]},
        "stats_config": {"use_all_default_tags": False},
    }


def _overload(site: EgressSite) -> dict[str, Any]:
    monitors = "envoy.extensions.resource_monitors"
    connections = extension(
        "envoy.resource_monitors.global_downstream_max_connections",
        f"{monitors}.downstream_connections.v3.DownstreamConnectionsConfig",
        max_active_downstream_connections=CONNECTIONS,
    )
    heap = extension(_HEAP, f"{monitors}.fixed_heap.v3.FixedHeapConfig", max_heap_size_bytes=site.memory)
    full = [{"name": _HEAP, "threshold": {"value": FULL}}]
    acts = ("shrink_heap", "stop_accepting_requests")
    actions = [{"name": f"envoy.overload_actions.{what}", "triggers": full} for what in acts]
    return {"refresh_interval": "0.05s", "resource_monitors": [connections, heap], "actions": actions}


def _listener(hosts: Sequence[Declared], site: EgressSite) -> dict[str, Any]:
    manager = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
    return {
        "name": "egress",
        "address": {"socket_address": {"address": site.address, "port_value": site.port}},
        "per_connection_buffer_limit_bytes": MOST_BODY,
        "filter_chains": [
            {"filters": [extension("envoy.filters.network.http_connection_manager", manager, **_manager(hosts, site))]}
        ],
    }


def _manager(hosts: Sequence[Declared], site: EgressSite) -> dict[str, Any]:
    own = {"filter": details("ext_authz_denied")}
    router = "envoy.extensions.filters.http.router.v3.Router"
    return {
        "stat_prefix": "egress",
        "codec_type": "HTTP1",
        "early_header_mutation_extensions": [_early()],
        "http_filters": [
            kept(),
            _asks(),
            extension("envoy.filters.http.router", router, suppress_envoy_headers=True),
        ],
        "route_config": {"name": "outside", "virtual_hosts": [_ways(hosts)]},
        "local_reply_config": {"mappers": [own, *map(mapper, REPLIES)]},
        "access_log": [access_log(site)],
        "generate_request_id": False,
        "preserve_external_request_id": True,
        "server_name": "smallmodel-egress",
        "normalize_path": True,
        "merge_slashes": True,
        "path_with_escaped_slashes_action": "REJECT_REQUEST",
        "common_http_protocol_options": {"idle_timeout": "600s", "headers_with_underscores_action": "REJECT_REQUEST"},
        "request_headers_timeout": "10s",
        "request_timeout": UPLOAD,
        "stream_idle_timeout": SILENCE,
        "delayed_close_timeout": "1s",
    }


def _early() -> dict[str, Any]:
    """Only who checks says which way."""
    kind = "envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation"
    removed = [{"remove": WAY}, {"remove": NOWHERE}, {"remove_on_match": {"key_matcher": {"prefix": "x-envoy-"}}}]
    return {
        "name": "envoy.http.early_header_mutation.header_mutation",
        "typed_config": typed(kind, mutations=removed),
    }


def _asks() -> dict[str, Any]:
    return extension(
        "envoy.filters.http.ext_authz",
        _AUTHZ,
        transport_api_version="V3",
        failure_mode_allow=False,
        status_on_error={"code": "ServiceUnavailable"},
        clear_route_cache=True,
        validate_mutations=True,
        with_request_body={"max_request_bytes": MOST_BODY, "allow_partial_message": False},
        allowed_headers=_exactly(PASS, TARGET, "x-request-id"),
        http_service={
            "server_uri": {"uri": f"http://{CHECK}", "cluster": CHECK, "timeout": WAIT},
            "authorization_response": {
                "allowed_upstream_headers": _exactly(WAY),
                "dynamic_metadata_from_headers": _exactly(POLICY),
            },
        },
        stat_prefix=CHECK,
    )


def _exactly(*names: str) -> dict[str, Any]:
    return {"patterns": [{"exact": name} for name in names]}


def _ways(hosts: Sequence[Declared]) -> dict[str, Any]:
    kind = "envoy.config.route.v3.Route"
    named = typed("envoy.type.matcher.v3.HttpRequestHeaderMatchInput", header_name=WAY)
    ways = {way: _way(h, s) for h in hosts for way, s in _silences(h).items()}
    found = {way: {"action": {"name": "way", "typed_config": typed(kind, **one)}} for way, one in ways.items()}
    nowhere = {
        "name": "nowhere",
        "match": {"prefix": "/"},
        # That header is never there. (A direct response would not raise the limit of buffered bodies.)
        "route": {"cluster_header": NOWHERE, "cluster_not_found_response_code": "SERVICE_UNAVAILABLE"},
        "request_body_buffer_limit": MOST_BODY,
    }
    matcher = {
        "matcher_tree": {"input": {"name": "way", "typed_config": named}, "exact_match_map": {"map": found}},
        "on_no_match": {"action": {"name": "nowhere", "typed_config": typed(kind, **nowhere)}},
    }
    return {"name": "outside", "domains": ["*"], "matcher": matcher}


def _silences(host: Declared) -> dict[str, int]:
    """Its ways, and how many seconds it may say nothing before its answer begins."""
    return {host.name: host.silence.answer, host.name + STREAM: host.silence.stream}


def _way(host: Declared, silence: int) -> dict[str, Any]:
    """`per_try_timeout` counts from when the request is sent until the answer's head has come, and no longer."""
    return {
        "name": host.name,
        "match": {"prefix": "/v1/"},
        "route": {
            "cluster": host.name,
            "prefix_rewrite": f"{host.path}/",
            "host_rewrite_literal": host.host,
            "timeout": "0s",
            "idle_timeout": SILENCE,
            "retry_policy": {"num_retries": 0, "per_try_timeout": f"{silence}s"},
        },
        "request_body_buffer_limit": MOST_BODY,
    }
