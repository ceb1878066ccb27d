"""Which nodes there are, and onto which of them the canary's pod can come. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from smallmodel_operator.core.facts import Object

Toleration = Mapping[str, Any]

CORDONED: Final = {"key": "node.kubernetes.io/unschedulable", "operator": "Exists", "effect": "NoSchedule"}
"""A node that was cordoned: pods that run there go on, so it has to be looked at until it is mended or gone."""


@dataclass(frozen=True, slots=True)
class Nodes:
    """All nodes by name; `closed`: those with a taint that nothing given as tolerations tolerates."""

    names: frozenset[str] = frozenset()
    closed: frozenset[str] = frozenset()


def nodes(found: Iterable[Object], tolerations: Sequence[Toleration]) -> Nodes:
    """What a list of nodes says."""
    taints = {n["metadata"]["name"]: (n.get("spec") or {}).get("taints") or () for n in found}
    closed = (name for name, own in taints.items() if not all(_passes(t, tolerations) for t in own))
    return Nodes(frozenset(taints), frozenset(closed))


def united(*lists: Iterable[Toleration]) -> list[dict[str, Any]]:
    """Tolerations of several pods for one: each once, in the order they came."""
    found: list[dict[str, Any]] = []
    for one in (dict(t) for some in lists for t in some):
        if one not in found:
            found.append(one)
    return found


def _passes(taint: Object, tolerations: Sequence[Toleration]) -> bool:
    """By the rules of Kubernetes: an empty key with Exists is every key, an empty effect every effect."""
    if taint.get("effect") == "PreferNoSchedule":
        return True
    return any(_tolerates(t, taint) for t in tolerations)


def _tolerates(toleration: Toleration, taint: Object) -> bool:
    if toleration.get("effect") and toleration["effect"] != taint.get("effect"):
        return False
    exists = toleration.get("operator") == "Exists"
    if not toleration.get("key"):
        return exists
    same = toleration["key"] == taint.get("key")
    return same and (exists or (toleration.get("value") or "") == (taint.get("value") or ""))
