"""Room on nodes: what is allocatable and not yet requested. Pure; bytes of memory."""

from collections.abc import Iterable
from dataclasses import dataclass

from smallmodel_operator.core.facts import Object
from smallmodel_operator.core.units import to_bytes


@dataclass(frozen=True, slots=True)
class Room:
    """The largest node, and the most that is free on any one node; None when it cannot be known."""

    largest: int | None = None
    freest: int | None = None


def room(nodes: Iterable[Object], pods: Iterable[Object] | None) -> Room:
    """Room for one more pod.

    Args:
        nodes: all nodes.
        pods: all pods of the cluster; None when they may not be listed.

    Raises:
        KeyError, ValueError: a node or pod is not as Kubernetes writes it.
    """
    allocatable = {
        n["metadata"]["name"]: to_bytes(n["status"]["allocatable"]["memory"])
        for n in nodes
        if not n.get("spec", {}).get("unschedulable")
    }
    largest = max(allocatable.values(), default=None)
    if pods is None:
        return Room(largest)
    free = dict(allocatable)
    for pod in pods:
        node = pod.get("spec", {}).get("nodeName", "")
        if node in free and pod.get("status", {}).get("phase") not in ("Succeeded", "Failed"):
            free[node] -= requested(pod)
    return Room(largest, max(free.values(), default=None))


def requested(pod: Object) -> int:
    """Memory a pod requests: its containers together, or its largest init container."""
    spec = pod.get("spec", {})
    return max(
        sum(_request(c) for c in spec.get("containers", ())),
        max((_request(c) for c in spec.get("initContainers", ())), default=0),
    )


def _request(container: Object) -> int:
    text = container.get("resources", {}).get("requests", {}).get("memory")
    return to_bytes(text) if text else 0
