"""Are the weights there and what are they: the weights part of the plan."""

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Final
from urllib.parse import urlsplit
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]  # what the pod itself asks

from smallmodel_operator.api.conditions import Condition, Reason, Report
from smallmodel_operator.api.names import (
    ROLE_DOWNLOAD,
    ROLE_INSPECT,
    WEIGHTS_CLAIM,
)
from smallmodel_operator.core.facts import Object, Snapshot, WeightsFacts
from smallmodel_operator.core.outcome import NotYet, Refused
from smallmodel_operator.core.plan import Note, Part
from smallmodel_operator.core.units import human
from smallmodel_operator.weights import checks, download, evict, jobs, obstacles, progress, result, seen, source
from smallmodel_operator.weights.parse import parse
from smallmodel_operator.weights.types import WeightsRequest, WeightsVerdict

RECHECK_SECONDS: Final = 600.0
"""Bad weights in a claim may have been replaced; they are read again after this long."""
CLAIM_RECHECK_SECONDS: Final = 15.0
UNFILLED_SECONDS: Final = 120.0
"""Somebody is likely to fill the claim right now, and a look that finds nothing costs a short pod."""
FIRST_PAUSE: Final = timedelta(seconds=10)
LONGEST_PAUSE: Final = timedelta(minutes=10)
_FINAL: Final = checks.FINAL | download.REASONS


def claims(request: WeightsRequest) -> tuple[str, ...]:
    """Claims the snapshot must cover."""
    return source.claims(parse(request.uri, request.path, request.sha256))


def artifact(request: WeightsRequest) -> str:
    """Name of the immutable set of files the model wants."""
    return parse(request.uri, request.path, request.sha256).artifact


def goes_to(request: WeightsRequest) -> str:
    """The one address a download has to reach: its source, or the proxy. Empty when nothing is downloaded."""
    where = parse(request.uri, request.path, request.sha256)
    if not isinstance(where, source.Downloaded):
        return ""
    address = source.address(where, request.hub, request.store)
    past = proxy_bypass_environment(urlsplit(address).netloc, {"no": request.no_proxy})
    return request.proxy if request.proxy and not past else address


def decide(request: WeightsRequest, snapshot: Snapshot) -> WeightsVerdict:
    """Known, being found out, or bad.

    Raises:
        Refused: the source cannot be used here at all (no such claim, a feature this cluster lacks).
    """
    where = parse(request.uri, request.path, request.sha256)
    _require(where, snapshot)
    facts = snapshot.inspected.get(where.artifact)
    kept = (jobs.claim(request),) if isinstance(where, source.Downloaded) else ()
    if facts is not None and _lies(where, facts, snapshot):
        if checks.satisfy(request, facts):
            return _known(request, where, _bound(where, facts, snapshot), Part(kept=kept))
        if request.verification in ("", facts.verified_with) and _runs(request, where, snapshot):
            return _looked_at_again(request, where, _bound(where, facts, snapshot), Part(kept=kept), snapshot)
    work = _work(request, where, snapshot)
    if isinstance(work.found, WeightsFacts):
        return _known(request, where, _bound(where, work.found, snapshot), Part(objects=work.objects, kept=kept))
    volume, mount, path = source.volume(where)
    problem = work.problem
    report = Report(
        Condition.WEIGHTS_READY, False if isinstance(problem, Refused) else None, problem.reason, str(problem)
    )
    ahead = request.memory_declared and path and not isinstance(where, source.Downloaded)
    blocking = not ahead or checks.wait(request)
    part = Part(
        objects=work.objects,
        kept=kept,
        reports=(report,),
        status={"download": work.far} if work.far else {},
        look_again_seconds=work.look_again_seconds,
        notes=work.notes,
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
    work = _work(request, where, snapshot)
    part = replace(part, objects=work.objects, look_again_seconds=work.look_again_seconds)
    known = _known(request, where, _bound(where, work.found or facts, snapshot), part)
    if work.found is not None or known.problem is not None:
        return known
    reports = known.part.reports
    if not isinstance(work.problem, Refused) or work.problem.reason not in checks.FINAL:
        return replace(known, part=replace(part, reports=reports))
    report = Report(Condition.WEIGHTS_READY, False, work.problem.reason, str(work.problem))
    return replace(known, part=replace(part, reports=(report,)), facts=None, blocking=True, problem=work.problem)


def _lies(where: source.Source, facts: WeightsFacts, snapshot: Snapshot) -> bool:
    """Whether the file that was described lies in the claim there is now; a claim made anew holds others or none."""
    names = source.claims(where)
    if not all(name in snapshot.claims for name in names):
        return False
    # An earlier release did not note the claim of pvc://. To read such a file again could wait for ever, for a disk
    # that the running pods hold on another node.
    unnoted = isinstance(where, source.ClaimSource) and not facts.claim
    return unnoted or all(facts.claim == _uid(snapshot, name) for name in names)


def _bound(where: source.Source, facts: WeightsFacts, snapshot: Snapshot) -> WeightsFacts:
    """The facts, tied to the claim they were found in."""
    folder = where.folder if isinstance(where, source.Downloaded) else ""
    return replace(facts, claim="".join(_uid(snapshot, name) for name in source.claims(where)), folder=folder)


def _uid(snapshot: Snapshot, claim: str) -> str:
    return str(snapshot.claims[claim].get("metadata", {}).get("uid", ""))


def _require(where: source.Source, snapshot: Snapshot) -> None:
    if isinstance(where, source.OciSource) and not snapshot.capabilities.image_volumes:
        raise Refused(
            Reason.FEATURE_MISSING,
            f"oci:// needs image volumes, which this cluster ({snapshot.capabilities.version}) does not have: they are "
            "on by default since Kubernetes 1.35 (before: feature gate ImageVolume). Use pvc:// or https:// instead.",
            condition=Condition.WEIGHTS_READY,
        )
    if isinstance(where, source.ClaimSource) and where.claim not in snapshot.claims:
        raise Refused(
            Reason.CLAIM_NOT_FOUND,
            f"PersistentVolumeClaim {where.claim!r} does not exist in this namespace. Create it, or correct "
            "`spec.source.uri` (pvc://CLAIM/PATH).",
            recheck_seconds=CLAIM_RECHECK_SECONDS,
            condition=Condition.WEIGHTS_READY,
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
    message = " ".join(filter(None, (text, signed, where.mutable, checks.warning(request, facts))))
    report = Report(Condition.WEIGHTS_READY, True, Reason.INSPECTED, message)
    part = Part(kept=part.kept, reports=(report,))
    return WeightsVerdict(part, facts, volume, mount, path, where.artifact, False, None)


@dataclass(frozen=True, slots=True)
class _Work:
    """Where the finding-out stands."""

    objects: tuple[Object, ...]
    found: WeightsFacts | None
    problem: Refused | NotYet
    look_again_seconds: float | None = None
    far: Object = field(default_factory=dict)
    """How far the download is, for the status."""
    notes: tuple[Note, ...] = ()


def _work(request: WeightsRequest, where: source.Source, snapshot: Snapshot) -> _Work:
    role = ROLE_DOWNLOAD if isinstance(where, source.Downloaded) else ROLE_INSPECT
    if role == ROLE_DOWNLOAD and WEIGHTS_CLAIM not in snapshot.claims:
        # The claim first: its uid is part of the Job, and a Job made before it would be a second one.
        return _Work((), None, NotYet(Reason.DOWNLOADING, f"The claim {WEIGHTS_CLAIM!r} is made.", after_seconds=0.2))
    under_way = _under_way(where)
    live = seen.youngest(snapshot, role, jobs.work(request, where))
    if live is None:
        peer = snapshot.inspecting.get(where.artifact)
        if peer is not None:
            return _Work(
                (), None, NotYet(Reason.INSPECTING, f"SmallModel {peer!r} inspects the same weights.", after_seconds=5)
            )
        return _Work((_build(request, where, snapshot, 0),), None, under_way)
    attempt = seen.attempt(live)
    ended = seen.ended(live)
    if ended is None:
        pods = seen.pods(snapshot, role, live)
        limit = jobs.reading_seconds(request, where)
        if role == ROLE_INSPECT and obstacles.overdue(pods, snapshot.now, limit):
            again = f"Reading the weights took more than {limit // 60} minutes. Trying again."
            hung = NotYet(Reason.INSPECTION_FAILED, again, after_seconds=1)
            return _Work((_build(request, where, snapshot, attempt + 1),), None, hung)
        far = progress.shown(snapshot.previous_status, snapshot.now, snapshot.progress)
        problem = (
            obstacles.find(where, pods, snapshot.now)
            or _standing(snapshot, attempt)
            or (snapshot.progress and progress.news(far, snapshot.progress))
            or obstacles.between_pods(pods)
            or under_way
        )
        return _Work((_build(request, where, snapshot, attempt),), None, problem, far=far)
    return _ended(request, where, snapshot, live, seen.said(snapshot, role, live), ended)


def _ended(
    request: WeightsRequest,
    where: source.Source,
    snapshot: Snapshot,
    live: Object,
    said: WeightsFacts | result.Failure | None,
    ended: Object,
) -> _Work:
    attempt = seen.attempt(live)
    passed = (snapshot.now - obstacles.time(ended.get("lastTransitionTime"), snapshot.now)).total_seconds()
    again = _build(request, where, snapshot, attempt + 1)
    this = _build(request, where, snapshot, attempt)
    if isinstance(said, WeightsFacts):
        if not _lies(where, said, snapshot):
            return _Work((again,), None, _under_way(where))
        if checks.satisfy(request, said):
            return _Work((this,), said, _under_way(where))
    if isinstance(said, result.Failure) and not said.passing:
        room = evict.room(request, where, snapshot, live, said) or evict.Room()
        these = (this, room.job) if room.job else (this,)
        if room.problem is not None:
            return _Work((again,) if room.made else these, None, room.problem, notes=room.notes)
        return _refused(where, said.reason, f"{said.message} {room.why_not}".rstrip(), passed, these, again)
    why, reason = str(ended.get("message") or "its pod left no result"), Reason.INSPECTION_FAILED
    pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(attempt, 16)).total_seconds()
    if isinstance(said, result.Failure):
        why, reason, pause = said.message, said.reason, max(pause, said.after_seconds)
    rest = pause - passed
    if rest <= 0:
        return _Work((again,), None, _under_way(where))
    why = "The pod that looked knows fewer checks than this release." if isinstance(said, WeightsFacts) else why
    return _Work((this,), None, NotYet(reason, f"{why} Trying again.", after_seconds=max(1.0, rest)), max(1.0, rest))


def _refused(
    where: source.Source, reason: Reason, said: str, passed: float, these: tuple[Object, ...], again: Object
) -> _Work:
    """What the user must change, and when to look whether they did: `passed` seconds after the look."""
    if not _may_heal(where, reason):
        return _Work(these, None, obstacles.refused(reason, said))
    soon = reason in (Reason.WEIGHTS_NOT_FOUND, *checks.OF_THE_KEY)
    rest = (UNFILLED_SECONDS if soon else RECHECK_SECONDS) - passed
    healing = obstacles.refused(reason, obstacles.with_way(where, reason, said), recheck_seconds=max(1.0, rest))
    return _Work(these if rest > 0 else (again,), None, healing)


def _may_heal(where: source.Source, reason: Reason) -> bool:
    """Whether what the user must change may change without the SmallModel: a claim's files, a server, a Secret."""
    return isinstance(where, source.ClaimSource) or reason in (*download.REASONS, *checks.OF_THE_KEY)


def _standing(snapshot: Snapshot, attempt: int) -> Refused | None:
    """What the last try refused, while the next one runs: a look at bad weights every 10 minutes is no news."""
    for condition in snapshot.previous_status.get("conditions") or [] if attempt else []:
        known = condition.get("type") == Condition.WEIGHTS_READY and condition.get("status") == "False"
        if known and condition.get("reason") in _FINAL:
            return obstacles.refused(Reason(condition["reason"]), condition.get("message", ""), recheck_seconds=30)
    return None


def _build(request: WeightsRequest, where: source.Source, snapshot: Snapshot, attempt: int) -> dict[str, Any]:
    if isinstance(where, source.Downloaded):
        # What the hub said once is what is asked for when the file has to be fetched again.
        known = snapshot.inspected.get(where.artifact)
        sha256 = where.sha256 or (known.sha256 if known else "")
        return jobs.download(request, where, attempt, _uid(snapshot, WEIGHTS_CLAIM), sha256)
    uid = _uid(snapshot, where.claim) if isinstance(where, source.ClaimSource) else ""
    return jobs.inspect(request, where, attempt, uid)


def _under_way(where: source.Source) -> NotYet:
    if isinstance(where, source.Downloaded):
        return NotYet(Reason.DOWNLOADING, "The weights are being downloaded and checked.", after_seconds=30)
    return NotYet(Reason.INSPECTING, "A Job reads the weights' header.", after_seconds=30)
