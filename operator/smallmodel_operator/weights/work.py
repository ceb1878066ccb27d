"""The Job that finds something out about weights: begun, under way, ended, tried again."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from smallmodel_operator.api.conditions import Condition, Reason
from smallmodel_operator.api.names import ROLE_DOWNLOAD, ROLE_INSPECT, ROLE_QUANTIZE, WEIGHTS_CLAIM
from smallmodel_operator.core.facts import Object, Snapshot, Survey, WeightsFacts
from smallmodel_operator.core.outcome import NotYet, Refused
from smallmodel_operator.core.plan import Note
from smallmodel_operator.weights import (
    checks,
    convert,
    download,
    evict,
    jobs,
    make,
    obstacles,
    peers,
    progress,
    result,
    seen,
    source,
)
from smallmodel_operator.weights.recipe import ConvertedSource, Made, QuantizedSource
from smallmodel_operator.weights.types import WeightsRequest

RECHECK_SECONDS: Final = 600.0
"""Bad weights in a claim may have been replaced; they are read again after this long."""
UNFILLED_SECONDS: Final = 120.0
"""Somebody is likely to fill the claim right now, and a look that finds nothing costs a short pod."""
FIRST_PAUSE: Final = timedelta(seconds=10)
LONGEST_PAUSE: Final = timedelta(minutes=10)
_FINAL: Final = checks.FINAL | download.REASONS


@dataclass(frozen=True, slots=True)
class Work:
    """Where the finding-out stands."""

    objects: tuple[Object, ...]
    found: WeightsFacts | Survey | result.Pinned | result.AdapterSizes | None
    problem: Refused | NotYet
    look_again_seconds: float | None = None
    far: Object = field(default_factory=dict)
    """How far the download is, for the status."""
    notes: tuple[Note, ...] = ()

    @property
    def facts(self) -> WeightsFacts | None:
        return self.found if isinstance(self.found, WeightsFacts) else None


def work(request: WeightsRequest, where: source.Source, snapshot: Snapshot) -> Work:
    """What the Job for this wish found, or why there is nothing yet."""
    role = _role(where)
    under_way = _under_way(where)
    if source.stored(where) and WEIGHTS_CLAIM not in snapshot.claims:
        # The claim first: its uid is part of the Job, and a Job made before it would be a second one.
        return Work((), None, NotYet(under_way.reason, f"The claim {WEIGHTS_CLAIM!r} is made.", after_seconds=0.2))
    live = seen.youngest(snapshot, role, jobs.work(request, where))
    if live is None:
        if (waits := peers.waits(request, where, snapshot, role)) is not None:
            return Work((), None, waits)
        return Work((_build(request, where, snapshot, 0),), None, under_way)
    attempt = seen.attempt(live)
    ended = seen.ended(live)
    if ended is None:
        pods = seen.pods(snapshot, role, live)
        limit = jobs.reading_seconds(request, where)
        if role == ROLE_INSPECT and obstacles.overdue(pods, snapshot.now, limit):
            again = f"Reading the weights took more than {limit // 60} minutes. Trying again."
            hung = NotYet(Reason.INSPECTION_FAILED, again, after_seconds=1)
            return Work((_build(request, where, snapshot, attempt + 1),), None, hung)
        far = progress.shown(snapshot.previous_status, snapshot.now, snapshot.progress)
        problem = (
            obstacles.find(where, pods, snapshot.now)
            or _standing(snapshot, attempt)
            or (snapshot.progress and progress.news(far, snapshot.progress))
            or obstacles.between_pods(pods)
            or _under_way(where, obstacles.step(pods))
        )
        return Work((_build(request, where, snapshot, attempt),), None, problem, far=far)
    return _ended(request, where, snapshot, live, seen.said(snapshot, role, live), ended)


def lies(where: source.Source, facts: WeightsFacts, snapshot: Snapshot) -> bool:
    """Whether the file that was described lies in the claim there is now; a claim made anew holds others or none."""
    names = source.claims(where)
    if not all(name in snapshot.claims for name in names):
        return False
    # An earlier release did not note the claim of pvc://. To read such a file again could wait for ever, for a disk
    # that the running pods hold on another node.
    unnoted = isinstance(where, source.ClaimSource) and not facts.claim
    return unnoted or all(facts.claim == uid(snapshot, name) for name in names)


def uid(snapshot: Snapshot, claim: str) -> str:
    """Of a claim that is there."""
    return str(snapshot.claims[claim].get("metadata", {}).get("uid", ""))


def _ended(
    request: WeightsRequest,
    where: source.Source,
    snapshot: Snapshot,
    live: Object,
    said: result.Said | None,
    ended: Object,
) -> Work:
    attempt, under_way = seen.attempt(live), _under_way(where)
    passed = (snapshot.now - obstacles.time(ended.get("lastTransitionTime"), snapshot.now)).total_seconds()
    again = _build(request, where, snapshot, attempt + 1)
    this = _build(request, where, snapshot, attempt)
    if isinstance(said, WeightsFacts | Survey):
        facts = said.facts if isinstance(said, Survey) else said
        if not lies(where, facts, snapshot):
            return Work((again,), None, _under_way(where))
        asked = isinstance(where, source.Asked) or request.survey == isinstance(said, Survey)
        if asked and checks.satisfy(request, facts):
            return Work((this,), said, _under_way(where))
    if isinstance(said, result.Pinned | result.AdapterSizes) and _answers(where, said):
        return Work((this,), said, NotYet(under_way.reason, under_way.message, after_seconds=0.2))
    if isinstance(said, result.Failure) and not said.passing:
        room = evict.room(request, where, snapshot, live, said) or evict.Room()
        these = (this, room.job) if room.job else (this,)
        if room.problem is not None:
            return Work((again,) if room.made else these, None, room.problem, notes=room.notes)
        return _refused(where, said.reason, f"{said.message} {room.why_not}".rstrip(), passed, these, again)
    why = str(ended.get("message") or "its pod left no result")
    reason = Reason.QUANTIZATION_FAILED if isinstance(where, Made) else Reason.INSPECTION_FAILED
    pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(attempt, 16)).total_seconds()
    if isinstance(said, result.Failure):
        why, reason, pause = said.message, said.reason, max(pause, said.after_seconds)
    rest = pause - passed
    if rest <= 0:
        return Work((again,), None, _under_way(where))
    if isinstance(said, WeightsFacts | Survey):
        why = "The pod that looked knows fewer checks than this release."
    return Work((this,), None, NotYet(reason, f"{why} Trying again.", after_seconds=max(1.0, rest)), max(1.0, rest))


def _answers(where: source.Source, said: result.Pinned | result.AdapterSizes) -> bool:
    """Whether this is what was asked."""
    if isinstance(said, result.AdapterSizes):
        return isinstance(where, source.AdapterSet) and set(said.sizes) == {a.name for a in where.adapters}
    return isinstance(where, source.MovingSource)


def _refused(
    where: source.Source, reason: Reason, said: str, passed: float, these: tuple[Object, ...], again: Object
) -> Work:
    """What the user must change, and when to look whether they did: `passed` seconds after the look."""
    if not _may_heal(where, reason):
        return Work(these, None, obstacles.refused(reason, said))
    soon = reason in (Reason.WEIGHTS_NOT_FOUND, *checks.OF_THE_KEY)
    rest = (UNFILLED_SECONDS if soon else RECHECK_SECONDS) - passed
    told = obstacles.with_way(where, reason, said)
    if told == said:
        told = f"{said} It is tried again every {'two' if soon else '10'} minutes by itself."
    healing = obstacles.refused(reason, told, recheck_seconds=max(1.0, rest))
    return Work(these if rest > 0 else (again,), None, healing)


def _may_heal(where: source.Source, reason: Reason) -> bool:
    """Whether what the user must change may change without the SmallModel: a claim's files, a server, a Secret."""
    if isinstance(where, source.CopiedImage) and reason is Reason.DIGEST_MISMATCH:
        return True  # it is a mirror on the way that is wrong, never the spec
    return isinstance(where, source.ClaimSource) or reason in (*download.REASONS, *checks.OF_THE_KEY)


def _standing(snapshot: Snapshot, attempt: int) -> Refused | None:
    """What the last try refused, while the next one runs: a look at bad weights every 10 minutes is no news."""
    for condition in snapshot.previous_status.get("conditions") or [] if attempt else []:
        known = condition.get("type") == Condition.WEIGHTS_READY and condition.get("status") == "False"
        if known and condition.get("reason") in _FINAL:
            return obstacles.refused(Reason(condition["reason"]), condition.get("message", ""), recheck_seconds=30)
    return None


def _build(request: WeightsRequest, where: source.Source, snapshot: Snapshot, attempt: int) -> dict[str, Any]:
    if isinstance(where, QuantizedSource):
        return make.build(request, where, attempt, uid(snapshot, WEIGHTS_CLAIM))
    if isinstance(where, source.AdapterSet):
        return jobs.inspect_adapters(request, where, attempt)
    if isinstance(where, source.MovingSource):
        return jobs.resolve(request, where, attempt, snapshot.pull_secrets)
    if isinstance(where, source.CopiedImage):
        return jobs.copy(request, where, attempt, uid(snapshot, WEIGHTS_CLAIM), snapshot.pull_secrets)
    if isinstance(where, ConvertedSource):
        return convert.build(request, where, attempt, uid(snapshot, WEIGHTS_CLAIM))
    if isinstance(where, source.Downloaded):
        # What the hub said once is what is asked for when the file has to be fetched again.
        known = snapshot.inspected.get(where.artifact)
        sha256 = where.sha256 or (known.sha256 if known and known.format == request.format else "")
        return jobs.download(request, where, attempt, uid(snapshot, WEIGHTS_CLAIM), sha256)
    claim_uid = uid(snapshot, where.claim) if isinstance(where, source.ClaimSource) else ""
    return jobs.inspect(request, where, attempt, claim_uid)


def _role(where: source.Source) -> str:
    if isinstance(where, Made):
        return ROLE_QUANTIZE
    return ROLE_DOWNLOAD if isinstance(where, source.Fetched) else ROLE_INSPECT


def _under_way(where: source.Source, step: str = "") -> NotYet:
    if isinstance(where, QuantizedSource):
        text = f"{where.recipe.type} is made from `{where.recipe.parent}`."
        return NotYet(Reason.QUANTIZING, f"{text}{_far(make.steps(where.recipe), step)}", after_seconds=15)
    if isinstance(where, ConvertedSource):
        wish = where.conversion
        text = f"A GGUF file in {wish.type} is made of the safetensors in `{wish.folder or '/'}`."
        return NotYet(Reason.QUANTIZING, f"{text}{_far(convert.STEPS, step)}", after_seconds=15)
    if isinstance(where, source.MovingSource):
        return NotYet(Reason.DOWNLOADING, "A Job finds out what the source holds now.", after_seconds=30)
    if isinstance(where, source.Downloaded | source.CopiedImage):
        return NotYet(Reason.DOWNLOADING, "The weights are being downloaded and checked.", after_seconds=30)
    whose = "adapters' headers" if isinstance(where, source.AdapterSet) else "weights' header"
    return NotYet(Reason.INSPECTING, f"A Job reads the {whose}.", after_seconds=30)


def _far(steps: Mapping[str, str], step: str) -> str:
    names = list(steps)
    return f" Step {names.index(step) + 1} of {len(names)}: {steps[step]}." if step in names else ""
