"""Does it fit: the memory verdict, decided once for each set of weights and settings."""

from dataclasses import dataclass
from typing import Final

from smallmodel_operator.api.conditions import Condition, Reason, Report
from smallmodel_operator.core.facts import WeightsFacts
from smallmodel_operator.core.outcome import Refused
from smallmodel_operator.core.plan import Part
from smallmodel_operator.core.units import MIB, human
from smallmodel_operator.quantization.memory import estimate

ROUND_TO: Final = 16 * MIB
"""Requests are rounded up to this, so that a byte more in a header does not make another pod."""
HEADROOM_PERCENT: Final = 5
"""Added to the estimate: allocators and page tables; the estimate is held to within 10 %."""


@dataclass(frozen=True, slots=True)
class MemoryVerdict:
    """Memory to request for a replica, and what it was derived from (0: not known)."""

    request_bytes: int
    estimated_bytes: int
    part: Part


def fit(
    facts: WeightsFacts | None,
    *,
    context_size: int,
    parallel_slots: int,
    declared_request: int | None,
    limit: int | None,
) -> MemoryVerdict:
    """What to request. A declared request counts; otherwise it is derived from the header.

    Raises:
        Refused: what is needed is more than the limit.
    """
    parts = estimate(facts, context_size, parallel_slots) if facts else None
    needed = _rounded(parts.total * (100 + HEADROOM_PERCENT) // 100) if parts else 0
    if declared_request is not None and limit is not None and declared_request > limit:
        raise Refused(
            Reason.DOES_NOT_FIT,
            f"`spec.compute.resources.requests.memory` ({human(declared_request)}) must not be more than the limit "
            f"({human(limit)}). Lower the request, or raise `spec.compute.resources.limits.memory` (or the profile's "
            "`perReplica.memoryLimit`).",
            condition=Condition.FITS_MEMORY,
        )
    if declared_request is not None:
        text = f"{human(declared_request)} requested by `spec.compute.resources`."
        if parts:
            text += f" The estimate is {human(parts.total)}."
        report = Report(Condition.FITS_MEMORY, True, Reason.DECLARED, text)
        return MemoryVerdict(declared_request, parts.total if parts else 0, Part(reports=(report,)))
    if parts is None:
        raise ValueError("without facts and without a declared request nothing can be decided")
    detail = (
        f"{human(parts.total)} estimated (weights {human(parts.weights)}, context {human(parts.kv_cache)}, "
        f"computing {human(parts.compute)}, process {human(parts.process)})"
    )
    if limit is not None and needed > limit:
        raise Refused(
            Reason.DOES_NOT_FIT,
            f"One replica needs {human(needed)}: {detail}; the limit is {human(limit)}. Take a smaller quantization, "
            "lower `spec.engine.contextSize` or `parallelSlots`, or raise `spec.compute.resources.limits.memory` "
            "(or the profile's `perReplica.memoryLimit`).",
            condition=Condition.FITS_MEMORY,
        )
    report = Report(Condition.FITS_MEMORY, True, Reason.FITS, f"{detail}; {human(needed)} requested.")
    return MemoryVerdict(needed, parts.total, Part(reports=(report,)))


def _rounded(value: int) -> int:
    return -(-value // ROUND_TO) * ROUND_TO
