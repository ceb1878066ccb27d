"""What is known of listeners and of the bootstrap; see envoy.py for how it is said."""

from collections.abc import Mapping
from typing import Any, Final

from smallmodel_operator.boundary.egress.envoy import (
    AT_PIPE,
    CLUSTER,
    INLINE,
    MATCH,
    ROUTES,
    SOURCE,
    STRING,
    cluster_name,
    route_configuration,
)
from smallmodel_operator.boundary.egress.grammar import (
    Node,
    Walk,
    extension,
    leaf,
    many,
    mapping,
    message,
    named,
    packed,
)
from smallmodel_operator.boundary.egress.inside import PASS
from smallmodel_operator.boundary.egress.lua import script
from smallmodel_operator.boundary.egress.passing import back_in, inner

MADE: Final = "x-slm-asked"
"""What the gateway's door reads; nothing else does."""

# -- access log and local replies --------------------------------------------------------------------------------

_FORMAT: Final = message(json_format=leaf, text_format_source=INLINE, content_type=leaf, omit_empty_values=leaf)
LOG: Final = extension(
    "log", envoy__extensions__access_loggers__file__v3__FileAccessLog=message(path=leaf, log_format=_FORMAT)
)


def _condition(value: Any, walk: Walk) -> None:
    _CONDITION(value, walk)


_ALL: Final = message(filters=many(_condition))
_CONDITION: Final = message(
    and_filter=_ALL,
    or_filter=_ALL,
    status_code_filter=leaf,
    response_flag_filter=leaf,
    runtime_filter=leaf,
    metadata_filter=message(
        matcher=message(filter=leaf, path=leaf, value=message(present_match=leaf)), match_if_key_not_found=leaf
    ),
    extension_filter=extension(
        "filter", envoy__extensions__access_loggers__filters__cel__v3__ExpressionFilter=message(expression=leaf)
    ),
)
REPLIES: Final = message(
    mappers=many(
        message(filter=_condition, status_code=leaf, headers_to_add=leaf, body=INLINE, body_format_override=_FORMAT)
    ),
    body_format=_FORMAT,
)

# -- filters -----------------------------------------------------------------------------------------------------

_PROVIDER: Final = message(
    issuer=leaf,
    audiences=leaf,
    local_jwks=INLINE,
    from_headers=leaf,
    forward=leaf,
    payload_in_metadata=leaf,
    failed_status_in_metadata=leaf,
    require_expiration=leaf,
    clock_skew_seconds=leaf,
    jwt_cache_config=leaf,
)


def _library(value: Any, walk: Walk) -> None:
    if not isinstance(value, str) or value not in walk.inside.libraries:
        walk.report(f"{value!r} is no filter of ours")


def _closed(value: Any, walk: Walk) -> None:
    if value is not False:
        walk.report("requests would pass without the decision they wait for")


_NAMES: Final = message(patterns=many(STRING))


def _answered(value: Any, walk: Walk) -> None:
    """What who decides says of a request. None of it may choose a cluster by its name."""
    _NAMES(value, walk)
    patterns = value.get("patterns") if isinstance(value, dict) else None
    for one in patterns if isinstance(patterns, list) else ():
        if not isinstance(one, dict) or one.keys() != {"exact"}:
            walk.report("who decides may set headers that are not named")
        else:
            walk.answered.add(str(one["exact"]))
            if walk.inner and one["exact"] == PASS:
                walk.report("who decides may let out again what has come back in")


_FILTER: Final = extension(
    "filter",
    envoy__extensions__filters__http__lua__v3__Lua=message(
        default_source_code=script, source_codes=mapping("script", script)
    ),
    # Nothing configures it: what a filter of ours does is in its source.
    envoy__extensions__filters__http__dynamic_modules__v3__DynamicModuleFilter=message(
        dynamic_module_config=message(module=message(local=message(filename=_library)), do_not_close=leaf),
        filter_name=leaf,
    ),
    envoy__extensions__filters__http__jwt_authn__v3__JwtAuthentication=message(
        providers=mapping("provider", _PROVIDER), rules=many(message(match=MATCH, requires=leaf))
    ),
    # Who decides is a cluster by its name (the address beside it is for the request line only).
    envoy__extensions__filters__http__ext_authz__v3__ExtAuthz=message(
        transport_api_version=leaf,
        failure_mode_allow=_closed,
        status_on_error=leaf,
        clear_route_cache=leaf,
        validate_mutations=leaf,
        with_request_body=message(max_request_bytes=leaf, allow_partial_message=leaf),
        allowed_headers=_NAMES,
        disallowed_headers=_NAMES,
        http_service=message(
            server_uri=message(uri=leaf, cluster=cluster_name, timeout=leaf),
            path_prefix=leaf,
            authorization_response=message(
                allowed_upstream_headers=_answered, allowed_client_headers_on_success=_NAMES
            ),
        ),
        stat_prefix=leaf,
    ),
    # What a limit says comes with a route; without one it limits nothing.
    envoy__extensions__filters__http__local_ratelimit__v3__LocalRateLimit=message(stat_prefix=leaf),
    envoy__extensions__filters__http__router__v3__Router=message(suppress_envoy_headers=leaf),
)


def _made(value: Any, walk: Walk) -> None:
    """A header made of others, which a caller chooses: it must lead nowhere."""
    if value != MADE:
        walk.report(f"header {value!r} is made of what a caller sends")


_EARLY: Final = extension(
    "headers",
    envoy__extensions__http__early_header_mutation__header_mutation__v3__HeaderMutation=message(
        mutations=many(
            message(
                remove_on_match=message(key_matcher=STRING),
                remove=leaf,
                append=message(header=message(key=_made, value=leaf), append_action=leaf),
            )
        )
    ),
)


def _prefixes(manager: Mapping[str, Any]) -> frozenset[str]:
    """Of the headers that are dropped before anything reads them."""
    mutations = [
        mutation
        for mutating in manager.get("early_header_mutation_extensions") or ()
        for mutation in mutating.get("typed_config", {}).get("mutations") or ()
    ]
    matchers = [m.get("remove_on_match", {}).get("key_matcher", {}) for m in mutations]
    return frozenset(str(m["prefix"]) for m in matchers if m.get("prefix"))


def _manager(value: Any, walk: Walk) -> None:
    before = len(walk.found)
    _MANAGER(value, walk)
    walk.stripped.append(frozenset() if len(walk.found) > before else _prefixes(value))


_MANAGER: Final = message(
    stat_prefix=leaf,
    codec_type=leaf,
    rds=message(route_config_name=route_configuration, config_source=SOURCE),
    route_config=ROUTES,
    early_header_mutation_extensions=many(_EARLY),
    http_filters=many(_FILTER),
    local_reply_config=REPLIES,
    access_log=many(LOG),
    use_remote_address=leaf,
    skip_xff_append=leaf,
    always_set_request_id_in_response=leaf,
    generate_request_id=leaf,
    preserve_external_request_id=leaf,
    server_name=leaf,
    normalize_path=leaf,
    merge_slashes=leaf,
    path_with_escaped_slashes_action=leaf,
    common_http_protocol_options=message(
        idle_timeout=leaf, headers_with_underscores_action=leaf, max_connection_duration=leaf
    ),
    http2_protocol_options=message(max_concurrent_streams=leaf),
    request_headers_timeout=leaf,
    stream_idle_timeout=leaf,
    delayed_close_timeout=leaf,
)

# -- listeners ---------------------------------------------------------------------------------------------------

CERTIFICATES: Final[Node] = named(
    "certificate",
    message(
        name=leaf,
        tls_certificate=message(
            certificate_chain=message(filename=leaf),
            private_key=message(filename=leaf),
            watched_directory=message(path=leaf),
        ),
    ),
)
_TLS: Final = extension(
    "tls",
    envoy__extensions__transport_sockets__tls__v3__DownstreamTlsContext=message(
        common_tls_context=message(
            tls_params=leaf,
            alpn_protocols=leaf,
            tls_certificate_sds_secret_configs=many(message(name=leaf, sds_config=SOURCE)),
        )
    ),
)
_CHAIN: Final = message(
    filters=many(
        extension(
            "filter",
            envoy__extensions__filters__network__http_connection_manager__v3__HttpConnectionManager=_manager,
        )
    ),
    transport_socket=_TLS,
)
_LISTENER: Final = inner(
    message(
        name=leaf,
        address=message(socket_address=message(address=leaf, port_value=leaf), pipe=back_in),
        per_connection_buffer_limit_bytes=leaf,
        ignore_global_conn_limit=leaf,
        filter_chains=many(_CHAIN),
        default_filter_chain=_CHAIN,
    )
)
LISTENER: Final[Node] = named("listener", _LISTENER)

# -- bootstrap ---------------------------------------------------------------------------------------------------

TRIGGERED: Final = message(
    name=leaf, triggers=leaf, typed_config=packed(envoy__config__overload__v3__ScaleTimersOverloadActionConfig=leaf)
)
MONITOR: Final = extension(
    "monitor",
    envoy__extensions__resource_monitors__downstream_connections__v3__DownstreamConnectionsConfig=leaf,
    envoy__extensions__resource_monitors__fixed_heap__v3__FixedHeapConfig=leaf,
    envoy__extensions__resource_monitors__injected_resource__v3__InjectedResourceConfig=message(filename=leaf),
)
_STREAM: Final = message(
    api_type=leaf,
    transport_api_version=leaf,
    set_node_on_first_message_only=leaf,
    grpc_services=many(message(envoy_grpc=message(cluster_name=cluster_name, retry_policy=leaf))),
)
BOOTSTRAP: Final[Node] = named(
    "bootstrap",
    message(
        node=message(id=leaf, cluster=leaf),
        admin=message(address=AT_PIPE),
        dynamic_resources=message(lds_config=SOURCE, cds_config=SOURCE, ads_config=_STREAM),
        static_resources=message(clusters=many(CLUSTER), listeners=many(LISTENER)),
        overload_manager=message(
            refresh_interval=leaf,
            resource_monitors=many(MONITOR),
            actions=many(TRIGGERED),
            loadshed_points=many(TRIGGERED),
            buffer_factory_config=leaf,
        ),
        layered_runtime=message(layers=many(message(name=leaf, admin_layer=message()))),
        stats_config=message(use_all_default_tags=leaf),
    ),
    key="",
)
