"""Are the weights there and what are they: the weights part of the plan."""

from dataclasses import replace
from typing import Any, Final
from urllib.parse import urlsplit
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]  # what the pod itself asks

from smallmodel_operator.api.conditions import Condition, Reason, Report
from smallmodel_operator.api.names import WEIGHTS_CLAIM
from smallmodel_operator.core.engine import GGUF, SAFETENSORS
from smallmodel_operator.core.facts import Snapshot, Survey, Variant, WeightsFacts
from smallmodel_operator.core.outcome import Refused
from smallmodel_operator.core.plan import Part
from smallmodel_operator.core.units import human
from smallmodel_operator.weights import checks, image, jobs, moving, peers, result, source
from smallmodel_operator.weights.recipe import ConvertedSource, QuantizedSource
from smallmodel_operator.weights.types import WeightsRequest, WeightsVerdict
from smallmodel_operator.weights.work import Work, lies, uid, work

CLAIM_RECHECK_SECONDS: Final = 15.0


def claims(request: WeightsRequest) -> tuple[str, ...]:
    """Claims the snapshot must cover."""
    return source.claims(_where(request))


def artifact(request: WeightsRequest) -> str:
    """Name of the immutable set of files the model wants."""
    return _where(request).artifact


def asks(request: WeightsRequest) -> str:
    """Whom its Job would ask for them, as `peers.asked` says it; empty where there is nobody to ask."""
    try:
        return peers.asked(request, _where(request))
    except Refused:
        return ""


def goes_to(request: WeightsRequest) -> str:
    """The one address a download has to reach: its source, or the proxy. Empty when nothing is downloaded."""
    where = _where(request)
    if not isinstance(where, source.Fetched):
        return ""
    address = source.address(where, request.hub, request.store)
    past = proxy_bypass_environment(urlsplit(address).netloc, {"no": request.no_proxy})
    return request.proxy if request.proxy and not past else address


def downloaded(request: WeightsRequest) -> bool:
    """Whether the source is one file that a Job fetches."""
    where = _where(request)
    return isinstance(where, source.Asked) and jobs.layout(request, where) == GGUF


def asks_registry(request: WeightsRequest) -> bool:
    """Whether a Job asks a registry, as whoever the namespace's pull secrets say."""
    where = _where(request)
    tag = isinstance(where, source.MovingSource) and isinstance(where.origin, image.Name)
    return tag or isinstance(where, source.CopiedImage)


def moves(request: WeightsRequest) -> bool:
    """Whether the source may be another one tomorrow, so that what it held is frozen."""
    return moving.moves(request.wish)


def decide(request: WeightsRequest, snapshot: Snapshot) -> WeightsVerdict:
    """Known, being found out, or bad.

    Raises:
        Refused: the source cannot be used here at all (no such claim, a feature this cluster lacks).
    """
    where = _where(request)
    _require(where, snapshot)
    facts = snapshot.inspected.get(where.artifact)
    kept = (jobs.claim(request),) if source.stored(where) else ()
    if facts is not None and facts.format == request.format and lies(where, facts, snapshot):
        if checks.satisfy(request, facts):
            return _known(request, where, _bound(where, facts, snapshot), Part(kept=kept))
        if request.verification in ("", facts.verified_with) and _runs(request, where, snapshot):
            return _looked_at_again(request, where, _bound(where, facts, snapshot), Part(kept=kept), snapshot)
    found = work(request, where, snapshot)
    if found.facts is not None:
        return _known(request, where, _bound(where, found.facts, snapshot), Part(objects=found.objects, kept=kept))
    return _unknown(request, where, found, Part(kept=kept), snapshot)


def survey(request: WeightsRequest, snapshot: Snapshot) -> tuple[WeightsVerdict, Survey | None]:
    """In which types the source holds the model; without a survey yet, the verdict says why.

    Raises:
        Refused: the source cannot be used here at all.
    """
    where = _where(request)
    _require(where, snapshot)
    asked = replace(request, survey=True)
    kept = (jobs.claim(request),) if source.stored(where) else ()
    if isinstance(where, source.Asked):
        known = snapshot.inspected.get(where.artifact)
        if known is not None and lies(where, known, snapshot) and checks.satisfy(asked, known):
            verdict = _known(request, where, _bound(where, known, snapshot), Part(kept=kept))
            return replace(verdict, blocking=True), _of_download(where, known)
    found = work(asked, where, snapshot)
    verdict = replace(_unknown(asked, where, found, Part(kept=kept), snapshot), blocking=True)
    if isinstance(found.found, WeightsFacts) and isinstance(where, source.Asked):
        return verdict, _of_download(where, found.found)
    return verdict, found.found if isinstance(found.found, Survey) else None


def _of_download(where: source.Asked, facts: WeightsFacts) -> Survey:
    """What a download holds: one GGUF file, or a folder of safetensors that one can be made of."""
    if facts.format == SAFETENSORS:
        return Survey(facts, (), parent=f"{where.folder}/{facts.file}", digest=facts.sha256)
    return Survey(facts, (Variant.of(facts, facts.file),))


def _where(request: WeightsRequest) -> source.Source:
    found = source.placed(moving.place(request.wish, request.name), image_volumes=request.image_volumes)
    inside = source.subfolder(found) if isinstance(found, source.CopiedImage) else ""
    if request.recipe is not None:
        if request.conversion or inside:
            return QuantizedSource(request.recipe, {}, "" if request.conversion else inside)
        return QuantizedSource(request.recipe, source.volume(found)[0])
    if request.conversion is not None:
        # What was downloaded lies in the claim that it is made into; a claim is mounted once.
        volume = {} if isinstance(found, source.Fetched) else source.volume(found)[0]
        return ConvertedSource(request.conversion, volume, request.name, inside)
    if request.file and isinstance(found, source.OciSource | source.CopiedImage | source.ClaimSource):
        return replace(found, path=request.file)
    return found


def _unknown(
    request: WeightsRequest, where: source.Source, found: Work, part: Part, snapshot: Snapshot
) -> WeightsVerdict:
    """What is said and planned while the weights are not known. What a source was resolved to is kept."""
    status: dict[str, Any] = {"download": found.far} if found.far else {}
    notes = found.notes
    if isinstance(found.found, result.Pinned):
        status |= {"source": moving.status(request.wish, found.found, snapshot.now)}
        notes = (moving.news(found.found),)
    volume, mount, path = source.volume(where)
    problem = found.problem
    report = Report(
        Condition.WEIGHTS_READY, False if isinstance(problem, Refused) else None, problem.reason, str(problem)
    )
    ahead = request.memory_declared and path and not isinstance(where, source.Kept)
    blocking = not ahead or checks.wait(request)
    part = replace(
        part,
        objects=found.objects,
        reports=(report,),
        status=status,
        look_again_seconds=found.look_again_seconds,
        notes=notes,
    )
    return WeightsVerdict(part, None, volume, mount, path, where.artifact, blocking, problem)


def _runs(request: WeightsRequest, where: source.Source, snapshot: Snapshot) -> bool:
    """Whether the model is served from these weights now."""
    described = (snapshot.previous_status.get("weights") or {}).get("artifact")
    return described == where.artifact and snapshot.child("Deployment", request.name) is not None


def _looked_at_again(
    request: WeightsRequest, where: source.Source, facts: WeightsFacts, part: Part, snapshot: Snapshot
) -> WeightsVerdict:
    """An earlier release let these weights in with fewer checks. They serve while they are looked at again: a new
    release is no reason to hold what runs.
    """
    look = work(request, where, snapshot)
    part = replace(part, objects=look.objects, look_again_seconds=look.look_again_seconds)
    known = _known(request, where, _bound(where, look.facts or facts, snapshot), part)
    if look.facts is not None or known.problem is not None:
        return known
    reports = known.part.reports
    if not isinstance(look.problem, Refused) or look.problem.reason not in checks.FINAL:
        return replace(known, part=replace(part, reports=reports))
    report = Report(Condition.WEIGHTS_READY, False, look.problem.reason, str(look.problem))
    return replace(known, part=replace(part, reports=(report,)), facts=None, blocking=True, problem=look.problem)


def _bound(where: source.Source, facts: WeightsFacts, snapshot: Snapshot) -> WeightsFacts:
    """The facts, tied to the claim they were found in."""
    folder = where.folder if isinstance(where, source.Kept) else ""
    return replace(facts, claim="".join(uid(snapshot, name) for name in source.claims(where)), folder=folder)


def _require(where: source.Source, snapshot: Snapshot) -> None:
    for name in source.claims(where):
        meta = (snapshot.claims.get(name) or {}).get("metadata", {})
        if meta.get("deletionTimestamp"):
            raise _no_claim(Reason.CLAIM_DELETED, _deleted(name))
    if isinstance(where, source.ClaimSource) and where.claim not in snapshot.claims:
        raise _no_claim(
            Reason.CLAIM_NOT_FOUND,
            f"PersistentVolumeClaim {where.claim!r} does not exist in this namespace. Create it, or correct "
            "`spec.source.uri` (pvc://CLAIM/PATH).",
        )


def _no_claim(reason: Reason, message: str) -> Refused:
    return Refused(reason, message, recheck_seconds=CLAIM_RECHECK_SECONDS, condition=Condition.WEIGHTS_READY)


def _deleted(name: str) -> str:
    """A claim that pods mount goes when the last of them has ended: what runs goes on, and nothing new begins."""
    lost = f"PersistentVolumeClaim {name!r} was deleted and goes as soon as no pod mounts it; no new pod can. "
    if name == WEIGHTS_CLAIM:
        return (
            f"{lost}Set `spec.suspend: true` in the models that mount it (`kubectl describe pvc {name}` names their "
            "pods): it goes, is made anew, and the weights are fetched again when they are resumed."
        )
    return (
        f"{lost}Copy what it holds into another claim while pods still mount it, and name that one in "
        "`spec.source.uri`. Or set `spec.suspend: true` to let it go, and make it anew with the weights in it."
    )


def _known(request: WeightsRequest, where: source.Source, facts: WeightsFacts, part: Part) -> WeightsVerdict:
    """Known weights are served or refused. `part` holds the Job that looked, which goes when they are served.

    Of refused weights no facts are handed on: the status describes what serves, and that may be other weights.
    """
    volume, mount, _ = source.volume(where)
    path = source.model_path(where, facts.file)
    refused = checks.refusal(request, facts)
    if refused is not None:
        report = Report(Condition.WEIGHTS_READY, False, refused.reason, refused.message)
        part = replace(part, reports=(report,))
        return WeightsVerdict(part, None, volume, mount, path, where.artifact, True, refused)
    size = f"{facts.parameters / 1e9:.2f} B" if facts.parameters >= 5e8 else f"{facts.parameters / 1e6:.1f} M"
    text = f"{facts.quantization} {facts.architecture}, {size} parameters, {human(facts.file_bytes)}."
    signed = f"Signed by the key in Secret {request.verification}." if request.verification else ""
    message = " ".join(
        filter(None, (text, signed, where.mutable, moving.said(request.wish), checks.warning(request, facts)))
    )
    report = Report(Condition.WEIGHTS_READY, True, Reason.INSPECTED, message)
    look, part = part.objects, Part(kept=part.kept, reports=(report,))
    return WeightsVerdict(part, facts, volume, mount, path, where.artifact, False, None, look)
