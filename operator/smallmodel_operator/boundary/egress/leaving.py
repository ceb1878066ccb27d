"""What is known of the configuration of the egress's Envoy: for each message its fields; see envoy.py for how.

Values are held against the declared hosts in outward.py; where a reference may lead is said there, too.
"""

from typing import Final

from smallmodel_operator.boundary.egress.doors import LOG, MONITOR, REPLIES, TRIGGERED
from smallmodel_operator.boundary.egress.envoy import AT_PIPE, MATCH
from smallmodel_operator.boundary.egress.grammar import (
    Node,
    extension,
    leaf,
    many,
    mapping,
    message,
    named,
    packed,
)

_FILENAME: Final = message(filename=leaf)
_LOAD: Final = message(
    cluster_name=leaf,
    endpoints=many(
        message(lb_endpoints=many(message(endpoint=message(address=message(socket_address=leaf, pipe=leaf)))))
    ),
)
_TLS: Final = extension(
    "tls",
    envoy__extensions__transport_sockets__tls__v3__UpstreamTlsContext=message(
        sni=leaf,
        common_tls_context=message(
            tls_params=message(tls_minimum_protocol_version=leaf),
            alpn_protocols=leaf,
            validation_context=message(trusted_ca=_FILENAME, match_typed_subject_alt_names=leaf),
        ),
    ),
)
_LAST: Final = extension(
    "filter",
    envoy__extensions__filters__http__header_mutation__v3__HeaderMutation=message(
        mutations=message(request_mutations=leaf, response_mutations=leaf)
    ),
    envoy__extensions__filters__http__credential_injector__v3__CredentialInjector=message(
        overwrite=leaf,
        allow_request_without_credential=leaf,
        credential=extension(
            "credential",
            envoy__extensions__http__injected_credentials__generic__v3__Generic=message(
                credential=message(name=leaf), header=leaf, header_value_prefix=leaf
            ),
        ),
    ),
    envoy__extensions__filters__http__upstream_codec__v3__UpstreamCodec=message(),
)
_OPTIONS: Final = packed(
    envoy__extensions__upstreams__http__v3__HttpProtocolOptions=message(
        common_http_protocol_options=message(idle_timeout=leaf),
        explicit_http_config=message(http_protocol_options=message()),
        http_filters=many(_LAST),
    )
)
_CLUSTER: Final = named(
    "cluster",
    message(
        name=leaf,
        type=leaf,
        dns_lookup_family=leaf,
        connect_timeout=leaf,
        per_connection_buffer_limit_bytes=leaf,
        load_assignment=_LOAD,
        transport_socket=_TLS,
        typed_extension_protocol_options=mapping("options", _OPTIONS),
    ),
)
_ROUTE: Final = packed(
    envoy__config__route__v3__Route=message(
        name=leaf,
        match=MATCH,
        route=message(
            cluster=leaf,
            cluster_header=leaf,
            cluster_not_found_response_code=leaf,
            prefix_rewrite=leaf,
            host_rewrite_literal=leaf,
            timeout=leaf,
            idle_timeout=leaf,
            retry_policy=message(num_retries=leaf, per_try_timeout=leaf),
        ),
        request_body_buffer_limit=leaf,
    )
)
_ACTION: Final = message(action=message(name=leaf, typed_config=_ROUTE))
_WAYS: Final = message(
    name=leaf,
    virtual_hosts=many(
        message(
            name=leaf,
            domains=leaf,
            matcher=message(
                matcher_tree=message(
                    input=extension(
                        "input", envoy__type__matcher__v3__HttpRequestHeaderMatchInput=message(header_name=leaf)
                    ),
                    exact_match_map=message(map=mapping("way", _ACTION)),
                ),
                on_no_match=_ACTION,
            ),
        )
    ),
)
_PATTERNS: Final = message(patterns=many(message(exact=leaf)))
_FILTER: Final = extension(
    "filter",
    envoy__extensions__filters__http__header_to_metadata__v3__Config=message(request_rules=leaf),
    envoy__extensions__filters__http__ext_authz__v3__ExtAuthz=message(
        transport_api_version=leaf,
        failure_mode_allow=leaf,
        status_on_error=leaf,
        clear_route_cache=leaf,
        validate_mutations=leaf,
        with_request_body=message(max_request_bytes=leaf, allow_partial_message=leaf),
        allowed_headers=_PATTERNS,
        http_service=message(
            server_uri=message(uri=leaf, cluster=leaf, timeout=leaf),
            authorization_response=message(allowed_upstream_headers=_PATTERNS, dynamic_metadata_from_headers=_PATTERNS),
        ),
        stat_prefix=leaf,
    ),
    envoy__extensions__filters__http__router__v3__Router=message(suppress_envoy_headers=leaf),
)
_EARLY: Final = extension(
    "headers",
    envoy__extensions__http__early_header_mutation__header_mutation__v3__HeaderMutation=message(
        mutations=many(message(remove=leaf, remove_on_match=message(key_matcher=message(prefix=leaf))))
    ),
)
_PLAIN: Final = (
    "stat_prefix", "codec_type", "generate_request_id", "preserve_external_request_id", "server_name",
    "normalize_path", "merge_slashes", "path_with_escaped_slashes_action", "request_headers_timeout",
    "request_timeout", "stream_idle_timeout", "delayed_close_timeout",
)  # fmt: skip
_MANAGER: Final = message(
    **dict.fromkeys(_PLAIN, leaf),
    early_header_mutation_extensions=many(_EARLY),
    http_filters=many(_FILTER),
    route_config=_WAYS,
    local_reply_config=REPLIES,
    access_log=many(LOG),
    common_http_protocol_options=message(idle_timeout=leaf, headers_with_underscores_action=leaf),
)
_HTTP: Final = extension(
    "filter",
    envoy__extensions__filters__network__http_connection_manager__v3__HttpConnectionManager=_MANAGER,
)
_LISTENER: Final = named(
    "listener",
    message(
        name=leaf,
        address=message(socket_address=message(address=leaf, port_value=leaf)),
        per_connection_buffer_limit_bytes=leaf,
        filter_chains=many(message(filters=many(_HTTP))),
    ),
)
_CONSTANTS: Final = message(**{"re2.max_program_size.error_level": leaf})
LEAVING: Final[Node] = named(
    "bootstrap",
    message(
        node=message(id=leaf, cluster=leaf),
        admin=message(address=AT_PIPE),
        static_resources=message(
            listeners=many(_LISTENER),
            clusters=many(_CLUSTER),
            secrets=many(message(name=leaf, generic_secret=message(secret=_FILENAME))),
        ),
        overload_manager=message(refresh_interval=leaf, resource_monitors=many(MONITOR), actions=many(TRIGGERED)),
        layered_runtime=message(layers=many(message(name=leaf, static_layer=_CONSTANTS))),
        stats_config=message(use_all_default_tags=leaf),
    ),
    key="",
)
