"""What pods drew between two looks at their counters: by Kepler, else by processor time. Pure; whole numbers.

Kepler's zones overlap: a package has its cores in it, and the platform (`psys`) has the packages. So one of them is
taken with what lies outside it, and never their sum. Kepler apportions what processors draw beyond idle. A counter of
its own that fell says nothing of the time between: its first value after a start has what was drawn before it in it.
Processor time of a container that began anew counts from zero.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from smallmodel_operator.core.energy import GPU, Drawn, Meter, Meters, Source

ZONES: Final = (("package", "dram"), ("psys",), ("core", "dram"))
"""The first whose first zone is there is taken, with those of the others that are there; `gpu` is outside all."""
MOST_WATTS: Final = 100_000
LATE_MICROSECONDS: Final = 600_000_000
"""A counter may tell of as much time before the look it belongs to; beyond the most a node draws it lies."""
PICO: Final = 10**6
"""In a millionth."""


@dataclass(frozen=True, slots=True)
class Place:
    """A pod of a model on its node. `watts` of the node, 0: nobody says; `millicores` it has; `devices`: the pod has
    any, which processor time says nothing of."""

    pod: str
    model: str
    watts: int
    millicores: int
    devices: bool = False


def drawn(places: Iterable[Place], before: Meters, now: Meters, length: int) -> Drawn:
    """What pods drew that have counters in both looks, `length` microseconds apart; the others are not in it."""
    models: dict[str, dict[str, int]] = {}
    pods, meters = set[str](), dict[str, Meter]()
    for place in places:
        meter = now.get(place.pod)
        if meter is None:
            continue
        meters[place.pod] = meter
        found = _of(place, before.get(place.pod, Meter()), meter, length)
        if found is not None:
            source, amount = found
            of = models.setdefault(place.model, {})
            of[source] = of.get(source, 0) + amount
            pods.add(place.pod)
    return Drawn(models, frozenset(pods), meters)


def by_kepler(before: Mapping[str, int], now: Mapping[str, int], *, devices: bool = False) -> int | None:
    """Picojoules between two looks at a pod's zones; None: not known, as of a pod with devices that none is counted
    of."""
    zones = next((zones for zones in ZONES if zones[0] in now), ())
    counted = [zone for zone in (*zones, GPU) if zone in before and zone in now]
    needed = {*zones[:1], *((GPU,) if devices else ())}
    if not zones or not needed <= set(counted) or any(now[zone] < before[zone] for zone in counted):
        return None
    return sum(now[zone] - before[zone] for zone in counted) * PICO


def by_cpu(before: Mapping[str, int], now: Mapping[str, int], watts: int, millicores: int) -> int | None:
    """Picojoules of the processor time between two looks, at the node's watts a core; None: not known."""
    both = before.keys() & now.keys()
    if not both or not watts or not millicores:
        return None
    grown = sum(now[name] - before[name] if now[name] >= before[name] else now[name] for name in both)
    return grown * watts * 1000 * PICO // millicores


def _of(place: Place, before: Meter, now: Meter, length: int) -> tuple[Source, int] | None:
    amount = by_kepler(before.joules, now.joules, devices=place.devices)
    if amount is not None and amount <= MOST_WATTS * (length + LATE_MICROSECONDS) * PICO:
        return Source.KEPLER, amount
    if place.devices:
        return None
    amount = by_cpu(before.cpu, now.cpu, place.watts, place.millicores)
    return None if amount is None else (Source.CPU, amount)
