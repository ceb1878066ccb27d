"""Does it fit: the memory verdict, decided once for each set of weights and settings."""

from dataclasses import dataclass
from typing import Final

from smallmodel_operator.api.conditions import Condition, Reason, Report
from smallmodel_operator.core.facts import WeightsFacts
from smallmodel_operator.core.outcome import Refused
from smallmodel_operator.core.plan import Part
from smallmodel_operator.core.units import MIB, human
from smallmodel_operator.quantization.memory import MemoryEstimate, estimate

ROUND_TO: Final = 16 * MIB
"""Requests are rounded up to this, so that a byte more in a header does not make another pod."""
HEADROOM_PERCENT: Final = 5
"""Added to the estimate: allocators and page tables; the estimate is held to within 10 %."""

RECHECK_SECONDS: Final = 60.0
"""A node may be added without the model changing."""


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
    largest_node: int | None = None,
    adapters: int = 0,
) -> MemoryVerdict:
    """What to request. A declared request counts; otherwise it is derived from the header.

    Args:
        facts: what is known of the weights; None only with a declared request.
        context_size: tokens of one request.
        parallel_slots: requests at once.
        declared_request: what the user asks for.
        limit: the pod's limit. Who sets one says that there are, or will be, nodes for it.
        largest_node: allocatable bytes of the largest node it may run on, asked only where nothing above is set;
            None when that is not known.
        adapters: bytes of the tensors of LoRA adapters; counted where the request is derived.

    Raises:
        Refused: what is needed is more than the limit, or more than any node has.
    """
    parts = estimate(facts, context_size, parallel_slots, adapters) if facts else None
    needed = request_for(parts) if parts else 0
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
            text += f" The estimate is {human(parts.lasting)}."
        report = Report(Condition.FITS_MEMORY, True, Reason.DECLARED, text)
        return MemoryVerdict(declared_request, parts.peak if parts else 0, Part(reports=(report,)))
    if parts is None:
        raise ValueError("without facts and without a declared request nothing can be decided")
    detail = (
        f"{human(parts.lasting)} estimated (weights {human(parts.weights)}, "
        f"{f'growth of copies for AMX {human(parts.growth)}, ' if parts.growth else ''}"
        f"{f'adapters {human(parts.adapters)}, ' if parts.adapters else ''}context {human(parts.context)}, "
        f"computing {human(parts.compute)}, process {human(parts.process)})"
    )
    if limit is None and largest_node is not None and needed > largest_node:
        raise _no_node(needed, detail, largest_node)
    if limit is not None and needed > limit:
        raise Refused(
            Reason.DOES_NOT_FIT,
            f"One replica needs {human(needed)}: {detail}; the limit is {human(limit)}. Take a smaller quantization, "
            "lower `spec.engine.contextSize` or `parallelSlots`, or raise `spec.compute.resources.limits.memory` "
            "(or the profile's `perReplica.memoryLimit`).",
            condition=Condition.FITS_MEMORY,
        )
    text = f"{detail}; {human(needed)} requested."
    if parts.repacked:
        text += f" Where there is room, {human(parts.repacked)} more stay in memory after loading."
    report = Report(Condition.FITS_MEMORY, True, Reason.FITS, text)
    return MemoryVerdict(needed, parts.peak, Part(reports=(report,)))


def request_for(parts: MemoryEstimate) -> int:
    """What is requested for an estimate, in bytes."""
    return _rounded(parts.lasting * (100 + HEADROOM_PERCENT) // 100)


def _no_node(needed: int, detail: str, largest_node: int) -> Refused:
    return Refused(
        Reason.DOES_NOT_FIT,
        f"No node can hold it. One replica needs {needed // MIB:,} MiB: {detail}; the largest node has "
        f"{largest_node // MIB:,} MiB allocatable. Take a smaller quantization, lower `spec.engine.contextSize` or "
        "`parallelSlots`, or add a larger node. Where a larger one is added once a pod asks for it, set "
        "`spec.compute.resources.limits.memory`.",
        recheck_seconds=RECHECK_SECONDS,
        condition=Condition.FITS_MEMORY,
    )


def _rounded(value: int) -> int:
    return -(-value // ROUND_TO) * ROUND_TO
