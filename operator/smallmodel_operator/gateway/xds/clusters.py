"""One cluster for each model: constant as long as the model lives, whatever happens to its pods."""

from typing import Any, Final

from smallmodel_operator.gateway.state import State
from smallmodel_operator.gateway.xds import decide, judged, leave
from smallmodel_operator.gateway.xds.site import Site
from smallmodel_operator.gateway.xds.words import CLUSTER, resources, typed

PLENTY: Final = 100_000
"""Above anything that can be held: the activator bounds the queue, not Envoy's breakers (their default allows three
retries at once, and a released burst retries all at once)."""
BUFFER: Final = 64 * 1024
"""Bytes kept of what a pod says faster than its caller reads; beyond them the engine waits."""
IDLE: Final = "4s"
"""Engines close idle connections after 5 s; closing first avoids the race."""


def clusters(state: State, site: Site) -> dict[str, Any]:
    """cds.json; who decides on requests is always there, because the listener names it and must not change."""
    found = [*(_cluster(target) for target in sorted(state.models)), decide.cluster(site)]
    found += [leave.cluster()] if state.leads_outside else []
    return resources(CLUSTER, found + ([judged.cluster(site)] if state.judges else []))


def _cluster(target: str) -> dict[str, Any]:
    options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    limits = {f"max_{what}": PLENTY for what in ("connections", "pending_requests", "requests", "retries")}
    return {
        "name": target,
        "type": "EDS",
        "eds_cluster_config": {"eds_config": {"ads": {}, "resource_api_version": "V3"}, "service_name": target},
        "lb_policy": "LEAST_REQUEST",
        "connect_timeout": "1s",
        "per_connection_buffer_limit_bytes": BUFFER,
        "circuit_breakers": {"thresholds": [limits]},
        # A pod that left the list gets nothing more, however healthy it says it is.
        "ignore_health_on_host_removal": True,
        "close_connections_on_host_health_failure": True,
        "common_lb_config": {"update_merge_window": "0s"},
        "health_checks": [_health()],
        "outlier_detection": _outliers(),
        "typed_extension_protocol_options": {
            options: typed(
                options,
                common_http_protocol_options={"idle_timeout": IDLE},
                explicit_http_config={"http_protocol_options": {}},
            )
        },
    }


def _health() -> dict[str, Any]:
    """A pod on a node that stopped answering is out after two checks: 0.5 + 1.5 + 0.5 + 1.5 s at most."""
    return {
        "timeout": "1.5s",
        "interval": "0.5s",
        "no_traffic_interval": "0.5s",
        "interval_jitter_percent": 20,
        "unhealthy_threshold": 2,
        "healthy_threshold": 1,
        "http_health_check": {"path": "/health", "host": "smallmodel-gateway"},
    }


def _outliers() -> dict[str, Any]:
    """Pods that refuse connections or reset them. Engines' own errors are answers, not a reason to leave a pod."""
    return {
        "split_external_local_origin_errors": True,
        "consecutive_local_origin_failure": 3,
        "enforcing_consecutive_local_origin_failure": 100,
        "enforcing_consecutive_5xx": 0,
        "enforcing_consecutive_gateway_failure": 0,
        "enforcing_success_rate": 0,
        "enforcing_local_origin_success_rate": 0,
        "interval": "1s",
        "base_ejection_time": "2s",
        "max_ejection_time": "10s",
        "max_ejection_percent": 50,
    }
