"""spec.quantization: which file of the source serves, decided once and kept in the status. Pure."""

from dataclasses import replace
from typing import Any

from smallmodel_operator.api.conditions import Condition, Reason, Report
from smallmodel_operator.api.names import digest
from smallmodel_operator.core.facts import Snapshot, Survey, Variant
from smallmodel_operator.core.outcome import Refused
from smallmodel_operator.core.plan import Part
from smallmodel_operator.core.units import to_bytes
from smallmodel_operator.quantization import ladder
from smallmodel_operator.resolve import Resolved
from smallmodel_operator.weights import decide as weights
from smallmodel_operator.weights.types import WeightsRequest, WeightsVerdict


def weigh(resolved: Resolved, request: WeightsRequest, snapshot: Snapshot) -> tuple[WeightsVerdict, Part]:
    """The weights' verdict on the file that the ladder takes, and what is said of the ladder.

    Raises:
        Refused: the source cannot be used here at all.
    """
    if not resolved.accept:
        forgotten: dict[str, Any] = {"quantization": {}} if snapshot.previous_status.get("quantization") else {}
        return weights.decide(request, snapshot), Part(status=forgotten)
    if weights.downloaded(request):
        return _one_file(resolved, request, snapshot)
    inputs = _inputs(resolved, request, snapshot)
    known = snapshot.previous_status.get("quantization") or {}
    if known.get("decidedOn") == inputs and known.get("type") in resolved.accept:
        choice = ladder.Choice(known["type"], known.get("file", ""), known.get("why", ""))
    else:
        verdict, survey = weights.survey(request, snapshot)
        if survey is None:
            return verdict, Part()
        try:
            choice = _choose(resolved, survey, snapshot)
        except Refused as refused:
            return replace(verdict, problem=refused, part=replace(verdict.part, reports=())), Part()
    verdict = weights.decide(replace(request, file=choice.file), snapshot)
    chosen = {"decidedOn": inputs, "type": choice.type, "file": choice.file, "why": choice.why}
    return verdict, Part(reports=(_report(choice),), status={"quantization": chosen})


def _one_file(resolved: Resolved, request: WeightsRequest, snapshot: Snapshot) -> tuple[WeightsVerdict, Part]:
    """A download is one file: it is of an accepted type, or it is not served."""
    verdict = weights.decide(request, snapshot)
    facts = verdict.facts
    if facts is None:
        return verdict, Part()
    only = Variant(facts.quantization, facts.file, facts.tensor_bytes, facts.repacked_bytes)
    try:
        choice = _choose(resolved, Survey(facts, (only,)), snapshot)
    except Refused as refused:
        return replace(verdict, problem=refused, blocking=True, facts=None), Part()
    chosen = {"type": choice.type, "file": choice.file, "why": choice.why}
    return verdict, Part(reports=(_report(choice),), status={"quantization": chosen})


def _choose(resolved: Resolved, survey: Survey, snapshot: Snapshot) -> ladder.Choice:
    limit, request = resolved.memory_limit, resolved.memory_request
    room = ladder.budget(
        to_bytes(limit) if limit else None, to_bytes(request) if request else None, snapshot.largest_node_memory
    )
    return ladder.choose(survey, resolved.accept, resolved.context_size, resolved.parallel_slots, room)


def _inputs(resolved: Resolved, request: WeightsRequest, snapshot: Snapshot) -> str:
    """Hash of what the choice hangs on. Nodes that come and go are not among it."""
    uids = [(snapshot.claims.get(name) or {}).get("metadata", {}).get("uid") for name in weights.claims(request)]
    inputs: list[Any] = [
        weights.artifact(request),
        uids,
        resolved.accept,
        resolved.context_size,
        resolved.parallel_slots,
        resolved.memory_limit,
        resolved.memory_request,
    ]
    return digest(inputs)[:16]


def _report(choice: ladder.Choice) -> Report:
    return Report(Condition.QUANTIZED, True, Reason.TYPE_CHOSEN, f"{choice.type} serves: {choice.why}")
