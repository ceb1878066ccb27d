"""What Envoy starts with: where everything else comes from, and limits of the whole process."""

from typing import Any, Final

from smallmodel_operator.api.names import GATEWAY
from smallmodel_operator.gateway.xds.site import Site
from smallmodel_operator.gateway.xds.words import extension, file_source, typed

CONNECTIONS: Final = 20_000
"""Most callers' connections; a connection costs Envoy some 30 KiB."""
AGENT: Final = "agent"
HEAP: Final = "envoy.resource_monitors.fixed_heap"
RECORD: Final = "envoy.resource_monitors.injected_resource"
"""A number in a file: 1 while requests cannot be recorded and must not be served. No configuration has to change."""
RUNNING: Final = "smallmodel.cut"
"""Another such number: 1 while everything that runs is cut."""
FULL: Final = 0.75
"""Share of the memory from which new requests are answered 503."""
CUT: Final = 0.8
"""Share from which a body is read no further, whichever it is: what is open already goes on being answered."""
LARGEST: Final = (0.7, 0.9)
"""Shares between which requests over HTTP/2 are cut, those that keep most first (Envoy counts none of HTTP/1's)."""
SMALLEST: Final = 18
"""A request that keeps less than 2 to this many bytes is never among them. Eight sizes, up to 32 MiB."""
WATCH: Final = "0.05s"
"""How often memory is looked at: meanwhile a fast network brings less than what is left above `CUT`."""
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
        "overload_manager": _overload(site),
        # Values the agent sets through the admin socket; they end with this Envoy.
        "layered_runtime": {"layers": [{"name": "admin", "admin_layer": {}}]},
        "stats_config": {"use_all_default_tags": False},
    }


def _overload(site: Site) -> dict[str, Any]:
    """One caller's large bodies end before the container does; what the kernel would kill is everybody's."""
    connections = extension(
        "envoy.resource_monitors.global_downstream_max_connections",
        "envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
        max_active_downstream_connections=CONNECTIONS,
    )
    kind = "envoy.extensions.resource_monitors.fixed_heap.v3.FixedHeapConfig"
    start, end = LARGEST
    return {
        "refresh_interval": WATCH,
        "resource_monitors": [
            connections,
            extension(HEAP, kind, max_heap_size_bytes=site.memory),
            _number(RUNNING, site.cut_file),
            *([_number(RECORD, site.refuse_file)] if site.refuse else []),
        ],
        "actions": [
            # What was freed goes back to the system: to it, kept pages count as used.
            _action("shrink_heap", threshold={"value": start}),
            _action("reset_high_memory_stream", scaled={"scaling_threshold": start, "saturation_threshold": end}),
            _stop(site),
            _cut(),
        ],
        "loadshed_points": [_when("envoy.load_shed_points.http1_server_abort_dispatch", threshold={"value": CUT})],
        "buffer_factory_config": {"minimum_account_to_track_power_of_two": SMALLEST},
    }


def _number(name: str, file: str) -> dict[str, Any]:
    kind = "envoy.extensions.resource_monitors.injected_resource.v3.InjectedResourceConfig"
    return extension(name, kind, filename=file)


def _cut() -> dict[str, Any]:
    """Every stream counts as one that has been silent for too long, so it is cut: the only thing Envoy does to streams
    that run. It leaves connections without a stream alone."""
    idle = {"timer": "HTTP_DOWNSTREAM_STREAM_IDLE", "min_scale": {"value": 0}}
    return {
        "name": "envoy.overload_actions.reduce_timeouts",
        "triggers": [{"name": RUNNING, "threshold": {"value": 1}}],
        "typed_config": typed("envoy.config.overload.v3.ScaleTimersOverloadActionConfig", timer_scale_factors=[idle]),
    }


def _stop(site: Site) -> dict[str, Any]:
    action = _action("stop_accepting_requests", threshold={"value": FULL})
    if site.refuse:
        action["triggers"].append({"name": RECORD, "threshold": {"value": 1}})
    return action


def _action(name: str, **trigger: Any) -> dict[str, Any]:
    return _when(f"envoy.overload_actions.{name}", **trigger)


def _when(name: str, **trigger: Any) -> dict[str, Any]:
    return {"name": name, "triggers": [{"name": HEAP, **trigger}]}


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
