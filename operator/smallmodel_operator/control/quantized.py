"""spec.quantization: which file of the source serves, decided once and kept in the status. Pure."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from smallmodel_operator.api.conditions import Condition, Reason, Report
from smallmodel_operator.api.names import WEIGHTS_CLAIM, digest
from smallmodel_operator.core.engine import weights_format
from smallmodel_operator.core.facts import Snapshot, Survey, Variant
from smallmodel_operator.core.outcome import Refused
from smallmodel_operator.core.plan import Part
from smallmodel_operator.core.units import to_bytes
from smallmodel_operator.quantization import gate, ladder
from smallmodel_operator.resolve import Resolved
from smallmodel_operator.weights import decide as weights
from smallmodel_operator.weights import make
from smallmodel_operator.weights.recipe import Recipe
from smallmodel_operator.weights.types import WeightsRequest, WeightsVerdict


def request(resolved: Resolved) -> WeightsRequest:
    """What the weights concern needs to know of a model."""
    signed = resolved.source.verification
    return WeightsRequest(
        name=resolved.name,
        namespace=resolved.namespace,
        uri=resolved.source.uri,
        path=resolved.source.path,
        sha256=resolved.source.sha256,
        allow_mutable=resolved.source.allow_mutable,
        resolve_generation=resolved.source.resolve_generation or 1,
        frozen=resolved.frozen,
        job_image=resolved.site.job_image,
        ca_config_map=resolved.site.ca_config_map,
        credentials=resolved.source.credentials_secret_ref.name if resolved.source.credentials_secret_ref else "",
        hub=resolved.site.hub,
        store=resolved.site.store,
        store_region=resolved.site.store_region,
        proxy=resolved.site.proxy,
        no_proxy=resolved.site.no_proxy,
        claim_size=resolved.site.claim_size,
        storage_class=resolved.site.claim_storage_class,
        access_mode=resolved.site.claim_access_mode,
        eviction=resolved.site.claim_eviction,
        memory_declared=resolved.memory_request is not None,
        node_selector=resolved.node_selector,
        tolerations=resolved.tolerations,
        verification=f"{signed.public_key_secret_ref.name}/{signed.public_key_secret_ref.key}" if signed else "",
        enforce_template=resolved.checks.chat_template != "Warn",
        wait_for_template=resolved.checks.chat_template == "Enforce",
        allowed_templates=tuple(resolved.checks.allowed_chat_templates),
        allowed_architectures=tuple(resolved.checks.allowed_architectures),
        format=weights_format(resolved.engine),
    )


def claims(resolved: Resolved) -> tuple[str, ...]:
    """Claims the snapshot must cover: the source's, and the one a type would be made into."""
    named = weights.claims(request(resolved))
    made = (WEIGHTS_CLAIM,) if resolved.quantizing.image and WEIGHTS_CLAIM not in named else ()
    return (*named, *made)


def weigh(resolved: Resolved, snapshot: Snapshot) -> tuple[WeightsVerdict, Part]:
    """The weights' verdict on the file that the ladder takes, and what is said of the ladder.

    Raises:
        Refused: the source cannot be used here at all.
    """
    asked = request(resolved)
    if not resolved.accept:
        forgotten: dict[str, Any] = {"quantization": {}} if snapshot.previous_status.get("quantization") else {}
        return weights.decide(asked, snapshot), Part(status=forgotten)
    if weights.downloaded(asked):
        return _one_file(resolved, asked, snapshot)
    inputs = _inputs(resolved, asked, snapshot)
    known = snapshot.previous_status.get("quantization") or {}
    if known.get("decidedOn") == inputs and known.get("type") in resolved.accept:
        made = known.get("made") or {}
        # Of what is not made the API server may keep a shell with nothing but defaults.
        making = bool(made.get("parent"))
        choice = ladder.Choice(known["type"], known.get("file", ""), known.get("why", ""), making)
    else:
        verdict, survey = weights.survey(replace(asked, accept=resolved.accept), snapshot)
        if survey is None:
            return verdict, Part()
        try:
            choice = _choose(resolved, survey, snapshot)
        except Refused as refused:
            return replace(verdict, problem=refused, part=replace(verdict.part, reports=())), Part()
        made = _made(choice, survey)
    chosen = {"decidedOn": inputs, "type": choice.type, "file": choice.file, "why": choice.why}
    if not choice.make:
        verdict = weights.decide(replace(asked, file=choice.file), snapshot)
        return verdict, Part(reports=(_report(choice),), status={"quantization": chosen})
    # What it is made from was verified when it was looked at; a signature of the result there is none.
    recipe = _recipe(resolved, choice, made)
    verdict = weights.decide(replace(asked, recipe=recipe, verification=""), snapshot)
    report = _report(choice)
    if verdict.problem is not None:
        status = False if isinstance(verdict.problem, Refused) else None
        report = Report(Condition.QUANTIZED, status, verdict.problem.reason, str(verdict.problem))
    return verdict, Part(reports=(report,), status={"quantization": {**chosen, "made": made}})


def _made(choice: ladder.Choice, survey: Survey) -> dict[str, Any]:
    """What the status keeps of the parent, so that the Job stays the same without another look."""
    facts = survey.facts
    size = next((v.tensor_bytes for v in survey.makes if v.type == choice.type), 0)
    return {
        "parent": survey.parent,
        "digest": survey.digest,
        "memory": make.memory(facts.tensor_bytes, facts.vocabulary),
        "disk": make.disk(size, facts.vocabulary),
        "context": facts.context_length,
    }


def _recipe(resolved: Resolved, choice: ladder.Choice, made: Mapping[str, Any]) -> Recipe:
    wish = resolved.quantizing
    limits = gate.as_text(gate.limits(choice.type, wish.limits))
    return Recipe(
        type=choice.type,
        parent=made["parent"],
        digest=made["digest"],
        memory=made["memory"],
        disk=made["disk"],
        context=made["context"],
        threads=resolved.threads,
        image=wish.image,
        text=wish.text,
        limits=limits,
    )


def _one_file(resolved: Resolved, asked: WeightsRequest, snapshot: Snapshot) -> tuple[WeightsVerdict, Part]:
    """A download is one file: it is of an accepted type, or it is not served."""
    verdict = weights.decide(asked, snapshot)
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
    limit, declared = resolved.memory_limit, resolved.memory_request
    room = ladder.budget(
        to_bytes(limit) if limit else None, to_bytes(declared) if declared else None, snapshot.largest_node_memory
    )
    maker = resolved.quantizing.image
    return ladder.choose(survey, resolved.accept, resolved.context_size, resolved.parallel_slots, room, maker)


def _inputs(resolved: Resolved, asked: WeightsRequest, snapshot: Snapshot) -> str:
    """Hash of what the choice hangs on. Nodes that come and go are not among it."""
    uids = [(snapshot.claims.get(name) or {}).get("metadata", {}).get("uid") for name in weights.claims(asked)]
    inputs: list[Any] = [
        weights.artifact(asked),
        uids,
        resolved.accept,
        resolved.context_size,
        resolved.parallel_slots,
        resolved.memory_limit,
        resolved.memory_request,
        bool(resolved.quantizing.image),
    ]
    return digest(inputs)[:16]


def _report(choice: ladder.Choice) -> Report:
    return Report(Condition.QUANTIZED, True, Reason.TYPE_CHOSEN, f"{choice.type} serves: {choice.why}")
