"""Every kind the operator touches, and how it is addressed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Kind:
    """How a kind is addressed. `plural` is the path segment."""

    api_version: str
    kind: str
    plural: str
    namespaced: bool = True

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str = "") -> str:
        root = "/api/" if "/" not in self.api_version else "/apis/"
        path = root + self.api_version
        if self.namespaced and namespace:
            path += f"/namespaces/{namespace}"
        path += f"/{self.plural}"
        if name:
            path += f"/{name}"
        return f"{path}/{subresource}" if subresource else path


KINDS: Final[Mapping[str, Kind]] = {
    k.kind: k
    for k in (
        Kind("smallmodel.dev/v1alpha1", "SmallModel", "smallmodels"),
        Kind("smallmodel.dev/v1alpha1", "ModelRoute", "modelroutes"),
        Kind("smallmodel.dev/v1alpha1", "ComputeProfile", "computeprofiles", namespaced=False),
        Kind("smallmodel.dev/v1alpha1", "ClusterBoundary", "clusterboundaries", namespaced=False),
        Kind("apps/v1", "Deployment", "deployments"),
        Kind("v1", "Service", "services"),
        Kind("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets"),
        Kind("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies"),
        Kind("batch/v1", "Job", "jobs"),
        Kind("v1", "Pod", "pods"),
        Kind("v1", "PersistentVolumeClaim", "persistentvolumeclaims"),
        Kind("v1", "Secret", "secrets"),
        Kind("v1", "ConfigMap", "configmaps"),
        Kind("v1", "ServiceAccount", "serviceaccounts"),
        Kind("discovery.k8s.io/v1", "EndpointSlice", "endpointslices"),
        Kind("v1", "Node", "nodes", namespaced=False),
        Kind("events.k8s.io/v1", "Event", "events"),
        Kind("coordination.k8s.io/v1", "Lease", "leases"),
    )
}
"""Every kind the operator touches; the chart's RBAC is tested against this table."""

CHILD_KINDS: Final = ("Deployment", "Service", "PodDisruptionBudget", "NetworkPolicy", "Job")
"""Kinds that are owned by a SmallModel and pruned when they leave the plan."""
