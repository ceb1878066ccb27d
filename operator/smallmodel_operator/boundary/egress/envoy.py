"""What is known of Envoy's configuration: for each message its fields, and where each leads.

`leaf` is said of a field only when its type in Envoy's API has neither an extension point nor a reference to a
cluster, an address or a file of configuration. What is not named here is a finding. Deliberately absent, because
each leads out or somewhere nobody checked: kinds of clusters that resolve names (STRICT_DNS, LOGICAL_DNS,
ORIGINAL_DST, `cluster_type`), `remote_jwks`, `google_grpc`, tracing, statistics sinks, access logs over the network,
internal redirects, CONNECT (`upgrade_configs`), listener filters, discovery of extensions, plugins that choose
clusters, redirects to another host.
"""

from typing import Any, Final

from smallmodel_operator.boundary.egress.grammar import (
    Node,
    Walk,
    alike,
    extension,
    leaf,
    many,
    mapping,
    message,
    named,
    one_of,
    packed,
)
from smallmodel_operator.boundary.egress.inside import WAY_OUT
from smallmodel_operator.boundary.egress.lua import script
from smallmodel_operator.boundary.egress.passing import behind, one_way

# -- references --------------------------------------------------------------------------------------------------


def cluster_name(value: Any, walk: Walk) -> None:
    walk.clusters.append((walk.path, str(value)))
    if value == WAY_OUT and not walk.passing:
        walk.report("it leads to the egress, and not only what has a pass")


def _cluster_header(value: Any, walk: Walk) -> None:
    walk.steering.append((walk.path, str(value)))


def route_configuration(value: Any, walk: Walk) -> None:
    walk.routings.append((walk.path, str(value)))


def _pipe(value: Any, walk: Walk) -> None:
    back = {walk.inside.instead} if walk.path[:1] == (f"cluster {WAY_OUT}",) else frozenset()
    if str(value) not in walk.inside.pipes | back:
        walk.report(f"{value!r} is no socket of this pod")


def _file(value: Any, walk: Walk) -> None:
    folder = walk.inside.folder.rstrip("/") + "/"
    if not isinstance(value, str) or not value.startswith(folder) or value[len(folder) :] not in walk.files:
        walk.report(f"it is configured by {value!r}, which was not checked")


SOURCE: Final[Node] = message(
    path_config_source=message(path=_file), ads=message(), resource_api_version=leaf, initial_fetch_timeout=leaf
)
AT_PIPE: Final[Node] = message(pipe=message(path=_pipe, mode=leaf))
INLINE: Final[Node] = message(inline_string=leaf)
STRING: Final[Node] = message(exact=leaf, prefix=leaf, suffix=leaf, contains=leaf)
"""Text to compare with; a comparison may also be an extension."""
HEADERS: Final[Node] = many(message(name=leaf, string_match=STRING, present_match=leaf))

# -- clusters and endpoints --------------------------------------------------------------------------------------


def _written(value: Any, walk: Walk) -> None:
    host, port = (value.get(k, "") for k in ("address", "port_value")) if isinstance(value, dict) else ("", "")
    walk.report(f"{host}:{port} stands in the configuration: it is the address of no pod")


_STATIC_ADDRESS: Final = message(pipe=message(path=_pipe), socket_address=_written)
_STATIC_ENDPOINTS: Final = message(
    cluster_name=leaf,
    endpoints=many(message(priority=leaf, lb_endpoints=many(message(endpoint=message(address=_STATIC_ADDRESS))))),
)
_OWN: Final = message(name=leaf, eds_cluster_config=message(eds_config=SOURCE, service_name=leaf))
_REST: Final = message(
    type=one_of("EDS", "STATIC"),
    load_assignment=_STATIC_ENDPOINTS,
    lb_policy=one_of("ROUND_ROBIN", "LEAST_REQUEST", "RANDOM"),
    connect_timeout=leaf,
    per_connection_buffer_limit_bytes=leaf,
    circuit_breakers=leaf,
    ignore_health_on_host_removal=leaf,
    close_connections_on_host_health_failure=leaf,
    common_lb_config=message(update_merge_window=leaf, healthy_panic_threshold=leaf),
    health_checks=many(
        message(
            timeout=leaf,
            interval=leaf,
            no_traffic_interval=leaf,
            interval_jitter_percent=leaf,
            unhealthy_threshold=leaf,
            healthy_threshold=leaf,
            http_health_check=message(path=leaf, host=leaf),
        )
    ),
    outlier_detection=message(
        split_external_local_origin_errors=leaf,
        consecutive_local_origin_failure=leaf,
        enforcing_consecutive_local_origin_failure=leaf,
        enforcing_consecutive_5xx=leaf,
        enforcing_consecutive_gateway_failure=leaf,
        enforcing_success_rate=leaf,
        enforcing_local_origin_success_rate=leaf,
        interval=leaf,
        base_ejection_time=leaf,
        max_ejection_time=leaf,
        max_ejection_percent=leaf,
    ),
    typed_extension_protocol_options=mapping(
        "options",
        packed(
            envoy__extensions__upstreams__http__v3__HttpProtocolOptions=message(
                common_http_protocol_options=message(idle_timeout=leaf),
                explicit_http_config=message(
                    http_protocol_options=message(), http2_protocol_options=message(max_concurrent_streams=leaf)
                ),
                http_filters=many(
                    extension(
                        "filter",
                        envoy__extensions__filters__http__lua__v3__Lua=message(default_source_code=script),
                        envoy__extensions__filters__http__upstream_codec__v3__UpstreamCodec=message(),
                    )
                ),
            )
        ),
    ),
)
CLUSTER: Final[Node] = named("cluster", alike("cluster", _OWN, _REST, "name", "eds_cluster_config"))


def _address(value: Any, walk: Walk) -> None:
    """Of an endpoint; which addresses are a model's is known by whoever collects them."""
    _ENDPOINT_ADDRESS(value, walk)
    if not isinstance(value, dict) or not value.keys() & {"pipe", "socket_address"}:
        walk.report("an endpoint without an address")


def _socket(value: Any, walk: Walk) -> None:
    _SOCKET(value, walk)
    if not isinstance(value, dict):
        return
    name = walk.path[0].removeprefix("cluster ")
    known = walk.inside.models.get(name, frozenset()) | walk.inside.gateways
    if name == WAY_OUT:
        known = walk.inside.egress
    host, port = value.get("address"), value.get("port_value")
    if not isinstance(host, str) or not isinstance(port, int) or (host, port) not in known:
        walk.report(f"{host}:{port} is " + ("no egress" if name == WAY_OUT else "no pod of this model and no gateway"))


_SOCKET: Final = message(address=leaf, port_value=leaf)
_ENDPOINT_ADDRESS: Final = message(pipe=message(path=_pipe), socket_address=_socket)
_ASSIGNMENT: Final = behind(
    message(
        cluster_name=leaf,
        endpoints=many(
            message(
                priority=leaf,
                lb_endpoints=many(
                    message(
                        endpoint=message(
                            address=_address, health_check_config=message(disable_active_health_check=leaf)
                        )
                    )
                ),
            )
        ),
    )
)
ASSIGNMENT: Final[Node] = named("cluster", _ASSIGNMENT, key="cluster_name")
"""Steps of its path begin with its cluster."""

# -- routes ------------------------------------------------------------------------------------------------------

MATCH: Final[Node] = message(prefix=leaf, path=leaf, headers=HEADERS)
_PERCENT: Final = message(default_value=leaf)
_LIMIT: Final = message(
    stat_prefix=leaf,
    filter_enabled=_PERCENT,
    filter_enforced=_PERCENT,
    token_bucket=leaf,
    always_consume_default_token_bucket=leaf,
    max_dynamic_descriptors=leaf,
    descriptors=leaf,
    rate_limits=many(message(actions=many(message(request_headers=leaf)))),
    enable_retry_after_header=leaf,
)
_PER_FILTER: Final = mapping(
    "filter",
    packed(
        envoy__extensions__filters__http__lua__v3__LuaPerRoute=message(
            source_code=script, name=leaf, disabled=leaf, filter_context=leaf
        ),  # the name is of one of the filter's texts, the context what that text is told
        envoy__extensions__filters__http__local_ratelimit__v3__LocalRateLimit=_LIMIT,
        # Whether it is asked at all, and what it is told; whom it asks says the filter.
        envoy__extensions__filters__http__ext_authz__v3__ExtAuthzPerRoute=message(
            disabled=leaf, check_settings=message(context_extensions=leaf)
        ),
        envoy__config__route__v3__FilterConfig=message(config=packed(), disabled=leaf),
    ),
)
_RETRIES: Final = message(
    retry_on=leaf,
    retriable_status_codes=leaf,
    num_retries=leaf,
    retry_back_off=leaf,
    per_try_timeout=leaf,
    retriable_headers=HEADERS,
    retry_host_predicate=many(
        extension("retry", envoy__extensions__retry__host__previous_hosts__v3__PreviousHostsPredicate=message())
    ),
    host_selection_retry_max_attempts=leaf,
    retry_priority=extension(
        "retry",
        envoy__extensions__retry__priority__previous_priorities__v3__PreviousPrioritiesConfig=message(
            update_frequency=leaf
        ),
    ),
)
_WEIGHTED: Final = message(clusters=many(message(name=cluster_name, cluster_header=_cluster_header, weight=leaf)))
_MIRROR: Final = message(cluster=cluster_name, cluster_header=_cluster_header, runtime_fraction=leaf)
_FORWARD: Final = message(
    cluster=cluster_name,
    cluster_header=_cluster_header,
    weighted_clusters=_WEIGHTED,
    request_mirror_policies=many(_MIRROR),
    cluster_not_found_response_code=leaf,
    timeout=leaf,
    idle_timeout=leaf,
    retry_policy=_RETRIES,
)
_ROUTE: Final = message(
    name=leaf,
    match=MATCH,
    route=_FORWARD,
    redirect=message(path_redirect=leaf, prefix_rewrite=leaf, https_redirect=leaf, response_code=leaf),
    direct_response=message(status=leaf, body=INLINE),
    request_headers_to_add=leaf,
    request_headers_to_remove=leaf,
    response_headers_to_add=leaf,
    response_headers_to_remove=leaf,
    request_body_buffer_limit=leaf,
    typed_per_filter_config=_PER_FILTER,
)
ROUTE: Final[Node] = one_way(_ROUTE)
_ON_ROUTE: Final = packed(envoy__config__route__v3__Route=ROUTE)


def _on_match(value: Any, walk: Walk) -> None:
    _ON_MATCH(value, walk)


def _matcher(value: Any, walk: Walk) -> None:
    _MATCHER(value, walk)


_ON_MATCH: Final = message(action=message(name=leaf, typed_config=_ON_ROUTE), matcher=_matcher)
_MAP: Final = message(map=mapping("route", _on_match))
_MATCHER: Final = message(
    matcher_tree=message(
        input=extension("input", envoy__type__matcher__v3__HttpRequestHeaderMatchInput=message(header_name=leaf)),
        exact_match_map=_MAP,
        prefix_match_map=_MAP,
    ),
    on_no_match=_on_match,
)
ROUTES: Final[Node] = named(
    "routes",
    message(
        name=leaf,
        virtual_hosts=many(
            message(
                name=leaf,
                domains=leaf,
                routes=many(named("route", ROUTE)),
                matcher=_matcher,
                retry_policy=_RETRIES,
                include_request_attempt_count=leaf,
                request_headers_to_add=leaf,
                request_headers_to_remove=leaf,
                response_headers_to_add=leaf,
                response_headers_to_remove=leaf,
                typed_per_filter_config=_PER_FILTER,
            )
        ),
    ),
)
