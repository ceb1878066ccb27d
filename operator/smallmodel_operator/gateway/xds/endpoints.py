"""Where requests for one model go now: its pods, or the activators while it has none; and where the egress is."""

from typing import Any

from smallmodel_operator.gateway.state import WAY_OUT, Endpoint, State
from smallmodel_operator.gateway.xds.site import Site
from smallmodel_operator.gateway.xds.words import ENDPOINTS, resources


def path_of(target: str) -> str:
    """File of a target's endpoints."""
    return f"xds/eds/{target.replace('/', '.')}.json"


def endpoints(state: State, site: Site, target: str) -> dict[str, Any]:
    """Its endpoint file."""
    pods = state.egress if target == WAY_OUT else state.endpoints.get(target, ())
    groups = [[_pod(pod) for pod in pods]] if pods else []
    if target == WAY_OUT:  # nobody waits for the egress
        groups.append([{"endpoint": {"address": {"pipe": {"path": site.instead_socket}}}}])
    elif not pods:
        groups = _activators(state, site)
    found = [{"priority": priority, "lb_endpoints": group} for priority, group in enumerate(groups)]
    return resources(ENDPOINTS, [{"cluster_name": target, "endpoints": found}])


def _pod(pod: Endpoint) -> dict[str, Any]:
    return {"endpoint": {"address": {"socket_address": {"address": pod.address, "port_value": pod.port}}}}


def _activators(state: State, site: Site) -> list[list[dict[str, Any]]]:
    """The own one first; the others if it is gone. They are not health-checked: thousands of models share them."""
    own: dict[str, Any] = {"pipe": {"path": site.agent_socket}}
    others = [{"socket_address": {"address": peer, "port_value": site.activator_port}} for peer in sorted(state.peers)]
    unchecked = {"disable_active_health_check": True}
    groups = [[own], others] if others else [[own]]
    return [[{"endpoint": {"address": a, "health_check_config": unchecked}} for a in group] for group in groups]
