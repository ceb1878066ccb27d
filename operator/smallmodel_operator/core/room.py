"""Room on nodes: what is allocatable and not yet requested. Pure; bytes of memory."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from smallmodel_operator.core.facts import Object
from smallmodel_operator.core.units import to_bytes


@dataclass(frozen=True, slots=True)
class Room:
    """The largest node, and the most that is free on any one node; None when it cannot be known."""

    largest: int | None = None
    freest: int | None = None


@dataclass(frozen=True, slots=True)
class NodeSize:
    """What a node could hold if nothing else ran on it, in bytes."""

    labels: Mapping[str, str]
    allocatable: int


def size_of(node: Object) -> NodeSize:
    """Size of a node, cordoned or not: it may be open again before the pod is there.

    Raises:
        KeyError, ValueError: the node is not as Kubernetes writes it.
    """
    return NodeSize(node["metadata"].get("labels") or {}, to_bytes(node["status"]["allocatable"]["memory"]))


def largest(nodes: Iterable[NodeSize], selector: Mapping[str, str]) -> int | None:
    """Size of the largest node a selector allows; None when it allows none."""
    return max((n.allocatable for n in nodes if selector.items() <= n.labels.items()), default=None)


def room(nodes: Iterable[Object], taken: Mapping[str, int] | None) -> Room:
    """Room for one more pod.

    Args:
        nodes: all nodes.
        taken: bytes that pods request by name of their node; None when pods may not be listed.

    Raises:
        KeyError, ValueError: a node is not as Kubernetes writes it.
    """
    allocatable = {
        n["metadata"]["name"]: to_bytes(n["status"]["allocatable"]["memory"])
        for n in nodes
        if not n.get("spec", {}).get("unschedulable")
    }
    largest = max(allocatable.values(), default=None)
    if taken is None:
        return Room(largest)
    return Room(largest, max((size - taken.get(name, 0) for name, size in allocatable.items()), default=None))


def taken_by(pods: Iterable[Object]) -> Counter[str]:
    """Bytes of memory that pods request, by name of the node they are on; the counts of several pages add up.

    Raises:
        ValueError: a pod's request is no quantity.
    """
    found: Counter[str] = Counter()
    for pod in pods:
        node = pod.get("spec", {}).get("nodeName", "")
        if node and pod.get("status", {}).get("phase") not in ("Succeeded", "Failed"):
            found[node] += requested(pod)
    return found


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
