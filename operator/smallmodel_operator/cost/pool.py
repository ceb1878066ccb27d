"""Which nodes are priced by which ComputeProfile, and who is on them. Pure.

A node belongs to one profile with a price: of those whose nodeSelector it satisfies the one that asks for most labels
(then the first by name). Its pods pay that price, whatever profile they name: a node is paid for once.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Final

from smallmodel_operator.core.facts import Object
from smallmodel_operator.cost.ledger import NANO, Pool, PricedNode, Tenant, microseconds
from smallmodel_operator.cost.node import NodePrice
from smallmodel_operator.cost.share import Amounts, has_devices, millicores_of, parts, requests_of, room_of

ENDED: Final = ("Succeeded", "Failed")


@dataclass(frozen=True, slots=True)
class PricedProfile:
    """A ComputeProfile that says what its nodes cost; `watts` that one of them draws, 0: it does not say."""

    name: str
    selector: Mapping[str, str]
    price: NodePrice
    watts: int = 0

    @property
    def pool(self) -> Pool:
        nano = (self.price.hourly * NANO).quantize(Decimal(1), ROUND_HALF_UP)
        return Pool(self.name, self.price.currency, int(nano), self.watts)


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod on a node: whose (`<namespace>/<name>`; empty: nobody of ours), what it requests, since when, and its uid
    where it is one of ours."""

    node: str
    model: str
    requests: Amounts
    since: int
    uid: str = ""


def pool_of(labels: Mapping[str, str], profiles: Iterable[PricedProfile]) -> Pool | None:
    """The pool of a node with these labels; None: nobody says what it costs."""
    fitting = [p for p in profiles if p.selector.items() <= labels.items()]
    return min(fitting, key=lambda p: (-len(p.selector), p.name)).pool if fitting else None


def pod_of(pod: Object, model: str) -> Pod | None:
    """A pod that takes room of a node; None: it has none, or none any more.

    Raises:
        ValueError: it is not as Kubernetes writes it.
    """
    node, status = (pod.get("spec") or {}).get("nodeName"), pod.get("status") or {}
    if not node or status.get("phase") in ENDED:
        return None
    placed = (c for c in status.get("conditions") or () if c.get("type") == "PodScheduled")
    since = next((c.get("lastTransitionTime") for c in placed), None) or pod["metadata"]["creationTimestamp"]
    uid = pod["metadata"].get("uid", "") if model else ""
    return Pod(node, model, requests_of(pod), _stamp(since), uid)


def priced(nodes: Iterable[Object], pods: Iterable[Pod], profiles: Iterable[PricedProfile]) -> tuple[PricedNode, ...]:
    """Nodes that cost something, and who is on them.

    Raises:
        ValueError: a node is not as Kubernetes writes it.
    """
    known, by_node = tuple(profiles), dict[str, list[Pod]]()
    for pod in pods:
        by_node.setdefault(pod.node, []).append(pod)
    found = []
    for node in nodes:
        meta = node["metadata"]
        pool = pool_of(meta.get("labels") or {}, known)
        if pool is not None:
            room = room_of(node)
            there = sorted(by_node.get(meta["name"], ()), key=lambda p: (p.since, p.model))
            tenants = tuple(
                Tenant(p.model, parts(p.requests, room), p.since, p.uid, has_devices(p.requests)) for p in there
            )
            found.append(PricedNode(pool, _stamp(meta["creationTimestamp"]), tenants, millicores_of(node)))
    return tuple(found)


def _stamp(text: str) -> int:
    return microseconds(datetime.fromisoformat(text))
