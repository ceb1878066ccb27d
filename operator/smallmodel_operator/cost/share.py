"""How much of a node a pod has: the largest of its shares of cpu, memory and devices. Pure.

Parts of a million, rounded down: what is added up is whole numbers, so that it is the same in any order.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from types import MappingProxyType
from typing import Final

from smallmodel_operator.core.facts import Object
from smallmodel_operator.core.units import quantity

WHOLE: Final = 1_000_000
Amounts = Mapping[str, Decimal]
"""Of cpu, memory and devices, by name."""


def room_of(node: Object) -> dict[str, Decimal]:
    """What pods may have of a node.

    Raises:
        ValueError: it is not as Kubernetes writes it.
    """
    allocatable = (node.get("status") or {}).get("allocatable") or {}
    return {name: quantity(amount) for name, amount in allocatable.items() if _counts(name)}


def millicores_of(node: Object) -> int:
    """Of all its processors, those that pods may not have included; 0: it does not say.

    Raises:
        ValueError: it is not as Kubernetes writes it.
    """
    capacity = (node.get("status") or {}).get("capacity") or {}
    return int(quantity(capacity["cpu"]) * 1000) if "cpu" in capacity else 0


def has_devices(requests: Amounts) -> bool:
    """Does it request any, like a GPU?"""
    return any(amount > 0 for name, amount in requests.items() if "/" in name)


def requests_of(pod: Object) -> Amounts:
    """What a pod requests: its containers and sidecars together, or its largest init container, and its overhead.

    Raises:
        ValueError: it is not as Kubernetes writes it.
    """
    spec = pod.get("spec") or {}
    containers: Sequence[Object] = spec.get("containers") or ()
    inits: Sequence[Object] = spec.get("initContainers") or ()
    if len(containers) == 1 and not inits and not spec.get("overhead"):
        return _requests(containers[0])
    stay = [c for c in inits if c.get("restartPolicy") == "Always"]
    found: dict[str, Decimal] = {}
    for container in (*containers, *stay):
        for name, amount in _requests(container).items():
            found[name] = found.get(name, Decimal(0)) + amount
    for container in inits:
        for name, amount in _requests(container).items():
            found[name] = max(found.get(name, Decimal(0)), amount)
    for name, amount in (spec.get("overhead") or {}).items():
        if _counts(name):
            found[name] = found.get(name, Decimal(0)) + quantity(amount)
    return found


def parts(requests: Amounts, room: Amounts) -> int:
    """Parts of the node; all of it where it has none of what is requested."""
    most = 0
    for name, amount in requests.items():
        if amount > 0:
            has = room.get(name, Decimal(0))
            most = max(most, int(amount * WHOLE / has) if has > 0 else WHOLE)
    return min(most, WHOLE)


def _requests(container: Object) -> Amounts:
    return _amounts(tuple(((container.get("resources") or {}).get("requests") or {}).items()))


@lru_cache(maxsize=1024)
def _amounts(given: tuple[tuple[str, str], ...]) -> Amounts:
    """Thousands of pods request the same few amounts."""
    return MappingProxyType({name: quantity(amount) for name, amount in given if _counts(name)})


def _counts(name: str) -> bool:
    """Devices have a slash in their names; the rest (disks, huge pages, pods) is not what a node is bought for."""
    return name in ("cpu", "memory") or "/" in name
