"""What Envoy starts with: where everything else comes from, and limits of the whole process."""

from typing import Any, Final

from smallmodel_operator.api.names import GATEWAY
from smallmodel_operator.gateway.xds.site import Site
from smallmodel_operator.gateway.xds.words import extension, file_source, typed

CONNECTIONS: Final = 20_000
"""Most callers' connections; a connection costs Envoy some 30 KiB."""
AGENT: Final = "agent"
RECONNECT: Final = {"retry_back_off": {"base_interval": "0.1s", "max_interval": "0.5s"}}
"""An agent that restarted is found at once (the default waits up to 30 s): requests held meanwhile wait for it."""


def bootstrap(site: Site) -> dict[str, Any]:
    """bootstrap.json: listeners, clusters and routes from files, endpoints from the agent's stream."""
    xds = site.folder / "xds"
    return {
        "node": {"id": site.pod, "cluster": GATEWAY},
        "admin": {"address": {"pipe": {"path": site.admin_socket, "mode": 0o600}}},
        "dynamic_resources": {
            "lds_config": file_source(xds / "lds.json"),
            "cds_config": file_source(xds / "cds.json"),
            "ads_config": {
                "api_type": "DELTA_GRPC",
                "transport_api_version": "V3",
                "set_node_on_first_message_only": True,
                "grpc_services": [{"envoy_grpc": {"cluster_name": AGENT, "retry_policy": RECONNECT}}],
            },
        },
        "static_resources": {"clusters": [_agent(site)]},
        "overload_manager": {
            "resource_monitors": [
                extension(
                    "envoy.resource_monitors.global_downstream_max_connections",
                    "envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
                    max_active_downstream_connections=CONNECTIONS,
                )
            ]
        },
        "stats_config": {"use_all_default_tags": False},
    }


def _agent(site: Site) -> dict[str, Any]:
    http2: dict[str, Any] = {"explicit_http_config": {"http2_protocol_options": {}}}
    endpoint = {"endpoint": {"address": {"pipe": {"path": site.xds_socket}}}}
    options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    return {
        "name": AGENT,
        "type": "STATIC",
        "connect_timeout": "1s",
        "typed_extension_protocol_options": {options: typed(options, **http2)},
        "load_assignment": {"cluster_name": AGENT, "endpoints": [{"lb_endpoints": [endpoint]}]},
    }
