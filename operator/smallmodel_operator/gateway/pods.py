"""Which endpoints of an EndpointSlice may be used: pods that Kubernetes itself found. Pure.

Kubernetes lets whoever may write EndpointSlices in a namespace name any address with our labels. That is closed in
three places: an admission policy of the chart refuses such slices from everybody who may not write the gateways' own;
here, only slices that Kubernetes keeps for a Service with a selector count, and in them only pods; and gateways'
NetworkPolicy lets them out to pods of models only, where a network plugin enforces it.
"""

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any, Final

MANAGED_BY: Final = "endpointslice.kubernetes.io/managed-by"
CONTROLLER: Final = "endpointslice-controller.k8s.io"
"""It derives slices from pods. The one that mirrors Endpoints, which people write, calls itself otherwise."""
METADATA: Final = frozenset({"169.254.169.254", "fd00:ec2::254", "100.100.100.200", "168.63.129.16"})
"""Where clouds tell machines their secrets: no pod has such an address."""


def found_by_kubernetes(endpoint_slice: Mapping[str, Any]) -> bool:
    """Does Kubernetes keep this slice, from pods that a Service selects?"""
    return (endpoint_slice["metadata"].get("labels") or {}).get(MANAGED_BY) == CONTROLLER


def is_pod(endpoint: Mapping[str, Any], namespace: str) -> bool:
    """Does an endpoint name a pod of the namespace, by addresses a pod can have?"""
    target = endpoint.get("targetRef") or {}
    named = target.get("kind") == "Pod" and target.get("namespace") == namespace and bool(target.get("name"))
    return named and all(map(_possible, endpoint["addresses"]))


def _possible(address: str) -> bool:
    try:
        ip = ip_address(address)
    except ValueError:
        return False
    return not (ip.is_link_local or ip.is_multicast or ip.is_unspecified or str(ip) in METADATA)
