"""Energy as values: where a number comes from, counters as they were last read, and what was drawn between two looks.

Energy is counted in picojoules, whole: a watt times a microsecond times a millionth of a node is one. It is what the
node draws, without the room's cooling (`pue`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

JOULE: Final = 10**12
WATT_HOUR: Final = 3600 * JOULE
"""In picojoules."""
GPU: Final = "gpu"
"""Beside Kepler's zones: what a pod drew of GPUs."""


class Source(StrEnum):
    """Where an amount of energy comes from; the best that is there is taken, pod by pod and look by look.

    KEPLER: measured at the processor and apportioned by Kepler. CPU: seconds of processor time, at the profile's watts
    for one core. SHARE: the pod's share of its node, at the profile's watts, for as long as it is there.
    """

    KEPLER = "Kepler"
    CPU = "CpuSeconds"
    SHARE = "RequestedShare"


@dataclass(frozen=True, slots=True)
class Meter:
    """What was counted of one pod by now; each only grows until who counts begins anew. What is absent is not zero.

    `joules`: microjoules by Kepler's zone, and GPU; `cpu`: microseconds of processor time by container.
    """

    joules: Mapping[str, int] = field(default_factory=dict)
    cpu: Mapping[str, int] = field(default_factory=dict)


Meters = Mapping[str, Meter]
"""By the pod's uid."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """Between two looks. `models`: picojoules by model (`<namespace>/<name>`) and source; `pods`: uids of those it is
    of, whose share is not charged beside it; `meters`: where the next look begins."""

    models: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    pods: frozenset[str] = frozenset()
    meters: Meters = field(default_factory=dict)
