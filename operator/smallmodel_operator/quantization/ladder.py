"""Which type of the weights serves: the best one the user accepts that fits a replica, and can hold the pace asked."""

from dataclasses import dataclass, replace

from smallmodel_operator.api.conditions import Condition, Reason
from smallmodel_operator.core.facts import Survey, Variant
from smallmodel_operator.core.outcome import Refused
from smallmodel_operator.core.units import human
from smallmodel_operator.quantization.decide import RECHECK_SECONDS, request_for
from smallmodel_operator.quantization.memory import estimate
from smallmodel_operator.quantization.roofline import Pace, token_bytes, token_seconds


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
    make: bool = False
    """The source lacks it: it is made."""


def budget(limit: int | None, declared_request: int | None, largest_node: int | None) -> Budget:
    """What a replica may take: the limit, else what its user declared, else the largest node."""
    if limit is not None:
        return Budget(limit, f"the limit {human(limit)}")
    if declared_request is not None:
        return Budget(declared_request, f"the declared request {human(declared_request)}")
    if largest_node is not None:
        return Budget(largest_node, f"the largest node's {human(largest_node)}", of_nodes=True)
    return Budget(None)


def choose(
    survey: Survey,
    accept: tuple[str, ...],
    context_size: int,
    parallel_slots: int,
    room: Budget,
    maker: str = "",
    pace: Pace | None = None,
) -> Choice:
    """The first accepted type that fits and that the source holds, or that can be made from what it holds.

    One that cannot be read as fast as `pace` asks is passed over; where all that fit are, the fastest of them serves.

    Args:
        survey: what the source holds.
        accept: types, best first.
        context_size: tokens of one request.
        parallel_slots: requests at once.
        room: what a replica may take.
        maker: image with which types are made; empty: none are.
        pace: what the objective asks of each token; None: it asks nothing, or the memory's speed is not known.

    Raises:
        Refused: there is none of them, or none fits; with the numbers.
    """
    held = {v.type: v for v in survey.variants}
    made = {v.type: v for v in survey.makes if v.type not in held}
    left_out = f" One file is left out: {survey.left_out}" if survey.left_out else ""
    there = {**held, **(made if maker else {})}
    if not there.keys() & set(accept):
        raise _missing(accept, list(held), bool(made), left_out)
    said: list[str] = []
    slow: list[tuple[float, str]] = []
    for kind in accept:
        if kind not in there:
            said.append(f"{kind} is not in the source{_no_maker(kind in made)}")
            continue
        needed = _needed(survey, there[kind], context_size, parallel_slots)
        if room.bytes is not None and needed > room.bytes:
            said.append(f"{kind} needs {human(needed)}, more than {room.named}")
            continue
        if pace is not None and (seconds := _at_best(survey, there[kind], pace)) > pace.seconds:
            said.append(f"{kind} takes {1000 * seconds:.0f} ms for a token at best, asked are {1000 * pace.seconds:g}")
            slow.append((seconds, kind))
            continue
        fits = f"and fits {room.named}" if room.bytes is not None else "and no limit is known"
        said.append(f"{kind} needs {human(needed)} {fits}")
        return _taken(survey, there[kind], said, left_out)
    if slow:
        said.append("none that fits is fast enough, so the fastest of them serves")
        return _taken(survey, there[min(slow)[1]], said, left_out)
    raise Refused(
        Reason.DOES_NOT_FIT,
        f"No accepted type fits: {'; '.join(said)}. Accept a smaller type, lower `spec.engine.contextSize` or "
        "`parallelSlots`, or raise `spec.compute.resources.limits.memory` (or the profile's "
        f"`perReplica.memoryLimit`).{left_out}",
        recheck_seconds=RECHECK_SECONDS if room.of_nodes else None,
        condition=Condition.QUANTIZED,
    )


def _taken(survey: Survey, variant: Variant, said: list[str], left_out: str) -> Choice:
    make = all(v.type != variant.type for v in survey.variants)
    how = f" It is made from `{survey.parent}`." if make else ""
    return Choice(variant.type, variant.file, f"{'; '.join(said)}.{how}{left_out}", make)


def _at_best(survey: Survey, variant: Variant, pace: Pace) -> float:
    """Seconds for a token; the embedding of the survey's largest file is no smaller than the variant's."""
    facts = survey.facts
    read = token_bytes(variant.tensor_bytes, facts.token_embedding_bytes, facts.experts)
    return token_seconds(read, pace.bandwidth)


def _no_maker(possible: bool) -> str:
    return ", and no image is named that could make it" if possible else ""


def _missing(accept: tuple[str, ...], held: list[str], possible: bool, left_out: str) -> Refused:
    way = "Add one of these to `accept`, or put a file of an accepted type into the source."
    if possible:
        way = (
            "They could be made from it: name an image with llama.cpp's tools in the ComputeProfile's "
            "`spec.quantizer.image` or in `spec.quantization.image`."
        )
    text = f"`spec.quantization.accept` names {', '.join(accept)}; the source holds {', '.join(held)}. {way}{left_out}"
    return Refused(Reason.TYPE_MISSING, text, condition=Condition.QUANTIZED)


def _needed(survey: Survey, variant: Variant, context_size: int, parallel_slots: int) -> int:
    """Memory to request for a replica that serves this variant, in bytes."""
    facts = replace(
        survey.facts,
        tensor_bytes=variant.tensor_bytes,
        repacked_bytes=variant.repacked_bytes,
        copy_growth_bytes=variant.copy_growth_bytes,
    )
    return request_for(estimate(facts, min(context_size, facts.context_length), parallel_slots))
