"""Which type of the weights serves: the best one the user accepts with which a replica fits."""

from dataclasses import dataclass, replace

from smallmodel_operator.api.conditions import Condition, Reason
from smallmodel_operator.core.facts import Survey, Variant
from smallmodel_operator.core.outcome import Refused
from smallmodel_operator.core.units import human
from smallmodel_operator.quantization.decide import RECHECK_SECONDS, request_for
from smallmodel_operator.quantization.memory import estimate


@dataclass(frozen=True, slots=True)
class Budget:
    """Memory of one replica in bytes, and what sets it; None: nothing does."""

    bytes: int | None
    named: str = ""
    of_nodes: bool = False
    """It is the largest node's, and may grow without the model changing."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The file to serve, and why it is this one."""

    type: str
    file: str
    why: str


def budget(limit: int | None, declared_request: int | None, largest_node: int | None) -> Budget:
    """What a replica may take: the limit, else what its user declared, else the largest node."""
    if limit is not None:
        return Budget(limit, f"the limit {human(limit)}")
    if declared_request is not None:
        return Budget(declared_request, f"the declared request {human(declared_request)}")
    if largest_node is not None:
        return Budget(largest_node, f"the largest node's {human(largest_node)}", of_nodes=True)
    return Budget(None)


def choose(survey: Survey, accept: tuple[str, ...], context_size: int, parallel_slots: int, room: Budget) -> Choice:
    """The first accepted type that the source holds and that fits.

    Raises:
        Refused: it holds none of them, or none fits; with the numbers.
    """
    held = {v.type: v for v in survey.variants}
    left_out = f" One file is left out: {survey.left_out}" if survey.left_out else ""
    if not held.keys() & set(accept):
        raise Refused(
            Reason.TYPE_MISSING,
            f"`spec.quantization.accept` names {', '.join(accept)}; the source holds {', '.join(held)}. Add one of "
            f"these to `accept`, or put a file of an accepted type into the source.{left_out}",
            condition=Condition.QUANTIZED,
        )
    said = []
    for kind in accept:
        if kind not in held:
            said.append(f"{kind} is not in the source")
            continue
        needed = _needed(survey, held[kind], context_size, parallel_slots)
        if room.bytes is None:
            said.append(f"{kind} is the best of those the source holds and needs {human(needed)}; no limit is known")
            return Choice(kind, held[kind].file, _sentence(said, left_out))
        if needed <= room.bytes:
            said.append(f"{kind} needs {human(needed)} and fits {room.named}")
            return Choice(kind, held[kind].file, _sentence(said, left_out))
        said.append(f"{kind} needs {human(needed)}, more than {room.named}")
    raise Refused(
        Reason.DOES_NOT_FIT,
        f"No accepted type fits: {'; '.join(said)}. Accept a smaller type, lower `spec.engine.contextSize` or "
        "`parallelSlots`, or raise `spec.compute.resources.limits.memory` (or the profile's "
        f"`perReplica.memoryLimit`).{left_out}",
        recheck_seconds=RECHECK_SECONDS if room.of_nodes else None,
        condition=Condition.QUANTIZED,
    )


def _needed(survey: Survey, variant: Variant, context_size: int, parallel_slots: int) -> int:
    """Memory to request for a replica that serves this variant, in bytes."""
    facts = replace(survey.facts, tensor_bytes=variant.tensor_bytes, repacked_bytes=variant.repacked_bytes)
    return request_for(estimate(facts, min(context_size, facts.context_length), parallel_slots))


def _sentence(said: list[str], left_out: str) -> str:
    return f"{'; '.join(said)}.{left_out}"
