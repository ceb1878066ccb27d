"""spec.quantization: which file of the source serves, decided once and kept in the status. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from smallmodel_operator.api.conditions import Condition, Reason, Report
from smallmodel_operator.api.names import WEIGHTS_CLAIM, digest
from smallmodel_operator.control import converted, importance
from smallmodel_operator.core.engine import GGUF, weights_format
from smallmodel_operator.core.facts import Snapshot, Survey, Variant
from smallmodel_operator.core.outcome import Refused
from smallmodel_operator.core.plan import Part
from smallmodel_operator.core.units import to_bytes
from smallmodel_operator.quantization import gate, ladder
from smallmodel_operator.quantization.roofline import Pace
from smallmodel_operator.resolve import Resolved
from smallmodel_operator.weights import checks, make
from smallmodel_operator.weights import decide as weights
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
        image_volumes=resolved.site.image_volumes,
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
        convertible=bool(resolved.accept and resolved.quantizing.image),
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
    known = known if known.get("decidedOn") == inputs else {}
    # Of what is not made the API server may keep a shell with nothing but defaults.
    made, kept = (dict(known.get(name) or {}) for name in ("made", "converted"))
    made, kept = made if made.get("parent") else {}, kept if kept.get("digest") else {}
    if known.get("type") in resolved.accept:
        choice = ladder.Choice(known["type"], known.get("file", ""), known.get("why", ""), bool(made))
    else:
        look = _look(resolved, asked, kept, snapshot)
        if look.survey is None:
            return look.verdict, _waiting(look, inputs)
        kept = look.kept
        try:
            choice = _choose(resolved, look.survey, snapshot)
        except Refused as refused:
            return _held(look.verdict, refused), _waiting(replace(look, verdict=_held(look.verdict, refused)), inputs)
        made = _made(choice, look.survey)
        choice = replace(choice, why=f"{choice.why}{converted.told(kept)}")
    chosen: dict[str, Any] = {"decidedOn": inputs, "type": choice.type, "file": choice.file, "why": choice.why}
    if kept:
        asked = _of_converted(resolved, asked, kept)
        chosen["converted"] = kept
    if not choice.make:
        verdict = weights.decide(replace(asked, file=choice.file), snapshot)
        return verdict, Part(reports=(_report(resolved, choice, None),), status={"quantization": chosen})
    verdict, made = _make(resolved, asked, choice, made, snapshot)
    report = _problem(verdict) or _report(resolved, choice, made)
    return verdict, Part(reports=(report,), status={"quantization": {**chosen, "made": made}})


def _make(
    resolved: Resolved, asked: WeightsRequest, choice: ladder.Choice, made: dict[str, Any], snapshot: Snapshot
) -> tuple[WeightsVerdict, dict[str, Any]]:
    """The verdict on the file that is made, and what the status keeps of it."""
    try:
        matrix = importance.matrix(resolved, choice.type, made, snapshot)
    except Refused as refused:
        return WeightsVerdict(Part(), None, {}, {}, "", "", blocking=True, problem=refused), made
    recipe = _recipe(resolved, choice, made, f"{asked.conversion.into}/" if asked.conversion else "")
    # What it is made from was verified when it was looked at; a signature of the result there is none.
    verdict = weights.decide(replace(asked, recipe=replace(recipe, matrix=matrix), verification=""), snapshot)
    rest = {name: said for name, said in made.items() if name != "importanceMatrix"}
    return verdict, {**rest, **importance.kept(matrix)}


@dataclass(frozen=True, slots=True)
class _Look:
    """What a Job found out about the source's types, or why there is nothing yet. `kept`: of the safetensors."""

    verdict: WeightsVerdict
    survey: Survey | None
    kept: dict[str, Any]


def _look(resolved: Resolved, asked: WeightsRequest, kept: dict[str, Any], snapshot: Snapshot) -> _Look:
    """A survey of the source; where it holds safetensors, of the GGUF file that is made of them first."""
    asked = replace(asked, accept=resolved.accept)
    if not kept:
        verdict, survey = weights.survey(asked, snapshot)
        if survey is None or survey.facts.format == GGUF:
            return _Look(verdict, survey, {})
        try:
            kept = converted.plan(resolved, survey)
        except Refused as refused:
            return _Look(_held(verdict, refused), None, {})
    verdict, survey = weights.survey(_of_converted(resolved, asked, kept), snapshot)
    bad = checks.refusal(asked, survey.facts) if survey else None
    return _Look(verdict, survey, kept) if bad is None else _Look(_held(verdict, bad), None, kept)


def _of_converted(resolved: Resolved, asked: WeightsRequest, kept: dict[str, Any]) -> WeightsRequest:
    """The same of the file that is made; what it is made of was verified when it was looked at."""
    return replace(asked, conversion=converted.conversion(resolved, kept), verification="")


def _held(verdict: WeightsVerdict, refused: Refused) -> WeightsVerdict:
    return replace(verdict, problem=refused, part=replace(verdict.part, reports=()))


def _waiting(look: _Look, inputs: str) -> Part:
    """What is said and kept while no type is chosen."""
    if not look.kept:
        return Part()
    report = _problem(look.verdict) if look.verdict.part.reports else None
    status = {"quantization": {"decidedOn": inputs, "converted": look.kept}}
    return Part(reports=(report,) if report else (), status=status)


def _problem(verdict: WeightsVerdict) -> Report | None:
    """What keeps the file from being made, or what is under way; None when it is there."""
    problem = verdict.problem
    if problem is None:
        return None
    status = False if isinstance(problem, Refused) else None
    return Report(Condition.QUANTIZED, status, problem.reason, str(problem))


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


def _recipe(resolved: Resolved, choice: ladder.Choice, made: Mapping[str, Any], folder: str) -> Recipe:
    """`folder`: where in the claim the parent lies that was made itself; else empty."""
    wish = resolved.quantizing
    limits = gate.as_text(gate.limits(choice.type, wish.limits))
    return Recipe(
        type=choice.type,
        parent=f"{folder}{made['parent']}",
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
    only = Variant.of(facts, facts.file)
    try:
        choice = _choose(resolved, Survey(facts, (only,)), snapshot)
    except Refused as refused:
        part = replace(verdict.part, objects=verdict.look)
        return replace(verdict, part=part, problem=refused, blocking=True, facts=None), Part()
    chosen = {"type": choice.type, "file": choice.file, "why": choice.why}
    return verdict, Part(reports=(_report(resolved, choice, None),), status={"quantization": chosen})


def _choose(resolved: Resolved, survey: Survey, snapshot: Snapshot) -> ladder.Choice:
    limit, declared = resolved.memory_limit, resolved.memory_request
    room = ladder.budget(
        to_bytes(limit) if limit else None, to_bytes(declared) if declared else None, snapshot.largest_node_memory
    )
    maker = resolved.quantizing.image
    return ladder.choose(
        survey, resolved.accept, resolved.context_size, resolved.parallel_slots, room, maker, _pace(resolved)
    )


def _pace(resolved: Resolved) -> Pace | None:
    """What the objective asks of each token, where the profile says what memory can give."""
    asked = resolved.objective.inter_token if resolved.objective else 0.0
    return Pace(asked, resolved.memory_bandwidth) if asked and resolved.memory_bandwidth else None


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
    if (pace := _pace(resolved)) is not None:
        inputs.append([pace.seconds, pace.bandwidth])
    return digest(inputs)[:16]


def _report(resolved: Resolved, choice: ladder.Choice, made: Mapping[str, Any] | None) -> Report:
    """`made`: what the status keeps of a file that is made; None where the source holds it."""
    text = f"{choice.type} serves: {choice.why}{importance.told(resolved, choice.type, made)}"
    return Report(Condition.QUANTIZED, True, Reason.TYPE_CHOSEN, text)
