"""The gate before a version takes traffic, and the probe while it serves. Pure: what trials came to is handed in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from smallmodel_operator.api.conditions import Condition, Reason, Report
from smallmodel_operator.api.names import short_hash
from smallmodel_operator.core.facts import Snapshot
from smallmodel_operator.core.outcome import NotYet, Refused
from smallmodel_operator.core.plan import Part
from smallmodel_operator.core.trial import Answers, Failure, GoldenSet, Trial
from smallmodel_operator.quality import golden, paired, words
from smallmodel_operator.quality.paired import Verdict

PATIENT_TRIES: Final = 4
"""A pod may be unreachable for a moment; after so many tries, about two minutes, it is said."""
ALL: Final = 100


@dataclass(frozen=True, slots=True)
class GoldenRequest:
    """What is to be decided on. Versions are names; `running` is the one the Deployment is made from, or empty.

    `address` is a pod of it that answers, `candidate` one of the wanted version that is tried; empty: there is none.
    """

    name: str
    config_map: str
    entry: str
    release: str
    probe_minutes: int
    slots: int
    context: int
    wanted: str
    running: str
    deployed: bool
    """The running version has replicas, or is about to."""
    off: bool
    address: str = ""
    candidate: str = ""
    obstacle: Refused | NotYet | None = None
    """Why the pod that is tried does not answer yet."""
    adapters: tuple[str, ...] = ()
    """Names of adapters by their number in pods of the wanted version; empty where a number is free."""
    running_adapters: tuple[str, ...] = ()
    """The same of the running version."""
    files: Mapping[str, str] = field(default_factory=dict)
    """Files of the wanted version: each adapter's by its name, the weights' own under no name."""


@dataclass(frozen=True, slots=True)
class Gate:
    """May the wanted version take traffic? `tried`: a pod of it has to answer first; `closed`: not while it is off."""

    part: Part = field(default_factory=Part)
    tried: bool = False
    hold: Refused | NotYet | None = None
    closed: bool = False


def decide(request: GoldenRequest, snapshot: Snapshot) -> Gate:
    """Ask what serves every now and then, and let nothing new serve that was not asked."""
    known = snapshot.previous_status.get("quality") or {}
    new = _is_new(request, known)
    if new and request.off:
        return Gate(closed=True)
    try:
        prompts = _read(request, snapshot)
    except Refused as problem:
        return _unreadable(request, problem, new)
    if new and _passed(known, request.wanted, prompts):
        return _open(known["running"], prompts)  # it was let in, and its Deployment was not written yet
    probed, record = _probe(request, prompts, known, snapshot)
    if not new:
        return Gate(probed)
    return _gate(request, prompts, known, record, probed, snapshot)


def _is_new(request: GoldenRequest, known: Mapping[str, Any]) -> bool:
    """Nothing made from it ever took traffic, as far as is known: what runs without being asked was there before."""
    asked = (known.get("running") or {}).get("version") == request.wanted
    return request.running != request.wanted or not (request.deployed or asked)


def _read(request: GoldenRequest, snapshot: Snapshot) -> GoldenSet:
    config_map = snapshot.config_maps.get(request.config_map)
    named = f"ConfigMap {request.config_map!r}"
    if config_map is None:
        said = f"{named} does not exist, which `spec.checks.golden.configMapRef` names. Create it or name another."
        raise Refused(Reason.GOLDEN_NOT_FOUND, said, recheck_seconds=15)
    text = (config_map.get("data") or {}).get(request.entry)
    if text is None:
        said = (
            f"{named} has no entry {request.entry!r}. Add it, or name another in `spec.checks.golden.configMapRef.key`."
        )
        raise Refused(Reason.GOLDEN_NOT_FOUND, said, recheck_seconds=15)
    try:
        prompts = golden.parse(text)
    except golden.NotGolden as error:
        said = f"The golden prompts in {named}, entry {request.entry!r}, cannot be used: {error}."
        raise Refused(Reason.GOLDEN_INVALID, said, recheck_seconds=15) from None
    if wrong := words.undeclared(prompts, request.adapters):
        said = f"The golden prompts in {named} cannot be used: {wrong}. Declare them, or take `adapter` away."
        raise Refused(Reason.GOLDEN_INVALID, said, recheck_seconds=15)
    return prompts


def _unreadable(request: GoldenRequest, problem: Refused, new: bool) -> Gate:
    """Nothing new serves unasked; what serves goes on."""
    report = Report(Condition.QUALITY_MET, False if new else None, problem.reason, problem.message)
    if new:
        return Gate(Part(reports=(report,)), hold=problem)
    return Gate(Part(reports=(report,), problems=() if request.off else (problem,)))


def _passed(known: Mapping[str, Any], version: str, prompts: GoldenSet) -> bool:
    record = known.get("running") or {}
    return record.get("version") == version and record.get("prompts") == prompts.digest


def _open(record: Mapping[str, Any], prompts: GoldenSet) -> Gate:
    return Gate(Part(reports=(words.serving(record, prompts.adapters),), status={"quality": {"running": record}}))


def _probe(
    request: GoldenRequest, prompts: GoldenSet, known: Mapping[str, Any], snapshot: Snapshot
) -> tuple[Part, Mapping[str, Any] | None]:
    """Ask the version that runs, if it is time; and what is known of it."""
    if not request.running:
        return Part(), None
    record = known["running"] if _passed(known, request.running, prompts) else None
    turn, left = _turn(request, snapshot)
    key = f"golden/{request.running}/{prompts.digest}/{turn}"
    result = snapshot.trials.get(key)
    if isinstance(result, Answers):
        kept = {k: v for k, v in (record or {}).items() if k != "failed"}
        first = {} if record else _record(request.running, prompts, result)
        record = {**kept, **first, "failed": list(result.failed)}
    wanted = bool(request.address) and (request.probe_minutes > 0 or record is None)
    trial = Trial(
        key, request.address, request.name, request.slots, request.context, prompts, adapters=request.running_adapters
    )
    reports: tuple[Report, ...] = ()
    if isinstance(result, Failure) and result.tries >= PATIENT_TRIES:
        said = f"The golden prompts could not be asked in {result.tries} tries: {result.message}"
        reports = (Report(Condition.QUALITY_MET, None, Reason.GOLDEN_UNANSWERED, said),)
    elif record is not None:
        reports = (words.serving(record, prompts.adapters),)
    return (
        Part(
            reports=reports,
            status={"quality": {"running": record}} if record else {},
            trials=(trial,) if wanted else (),
            look_again_seconds=left if wanted and request.probe_minutes else None,
        ),
        record,
    )


def _turn(request: GoldenRequest, snapshot: Snapshot) -> tuple[int, float]:
    """Which probe it is, counted from 1970, and seconds to the next; models take their turns at different times."""
    seconds = request.probe_minutes * 60
    if not seconds:
        return 0, 0.0
    at = snapshot.now.timestamp() + int(short_hash(request.name), 16) % seconds
    return int(at // seconds), max(1.0, seconds - at % seconds)


def _record(version: str, prompts: GoldenSet, result: Answers) -> dict[str, Any]:
    made: dict[str, Any] = {
        "version": version, "prompts": prompts.digest, "items": len(prompts.items), "failed": list(result.failed),
    }  # fmt: skip
    consistency = {"strictPercent": result.strict, "underLoadPercent": result.load}
    return made | {k: v for k, v in consistency.items() if v is not None}


def _gate(
    request: GoldenRequest,
    prompts: GoldenSet,
    known: Mapping[str, Any],
    record: Mapping[str, Any] | None,
    probed: Part,
    snapshot: Snapshot,
) -> Gate:
    """The wanted version beside the one that runs."""
    judged = known.get("candidate") or {}
    key = f"golden/{request.wanted}/{prompts.digest}/gate"
    trial = Trial(
        key, request.candidate, request.name, request.slots, request.context, prompts,
        consistency=True, adapters=request.adapters,
    )  # fmt: skip
    trials = (*probed.trials, *((trial,) if request.candidate else ()))
    if (judged.get("version"), judged.get("prompts")) != (request.wanted, prompts.digest):
        result = snapshot.trials.get(key)
        waits = record is None and bool(probed.trials) and not _given_up(snapshot, probed.trials)
        if not isinstance(result, Answers) or waits:
            part = _with(probed, trials=trials)
            return Gate(part, tried=True, hold=_waiting(request, result))
        judged = _judge(request, prompts, result, record)
    released = judged["verdict"] == Verdict.INCONCLUSIVE and judged["id"] == request.release
    if judged["verdict"] == Verdict.PASS or released:
        kept = ("version", "prompts", "items", "failed", "strictPercent", "underLoadPercent")
        return _open(
            {**{k: judged[k] for k in kept if k in judged}, "accepted": list(judged.get("failed") or ())}, prompts
        )
    named = (request.config_map, prompts.adapters, request.files)
    hold = words.held(judged, *named, beside=bool(request.running))
    quality = {**({"running": record} if record else {}), "candidate": judged}
    reports = probed.reports or (Report(Condition.QUALITY_MET, False, hold.reason, hold.message),)
    return Gate(_with(probed, status={"quality": quality}, reports=reports), hold=hold)


def _given_up(snapshot: Snapshot, trials: Sequence[Trial]) -> bool:
    results = (snapshot.trials.get(trial.key) for trial in trials)
    return any(isinstance(r, Failure) and r.tries >= PATIENT_TRIES for r in results)


def _judge(
    request: GoldenRequest, prompts: GoldenSet, result: Answers, record: Mapping[str, Any] | None
) -> dict[str, Any]:
    if record is None:
        compared = paired.alone(result.failed, len(prompts.items))
    else:
        compared = paired.against_version(result.failed, record.get("failed") or ())
    verdict = compared.verdict
    if verdict is Verdict.PASS and result.strict is not None and result.strict < ALL:
        verdict = Verdict.INCONCLUSIVE  # what does not repeat itself cannot be compared
    made = _record(request.wanted, prompts, result)
    return made | {
        "id": short_hash([made, verdict]),
        "verdict": verdict.value,
        "lost": list(compared.lost),
        "gained": list(compared.gained),
    }


def _waiting(request: GoldenRequest, result: object) -> Refused | NotYet:
    if request.obstacle is not None:
        return request.obstacle
    said = "The new version answers its golden prompts before it takes traffic."
    if isinstance(result, Failure):
        said += f" They could not be asked in {result.tries} tries: {result.message}"
    return NotYet(Reason.ASKING_GOLDEN, said, after_seconds=30)


def _with(part: Part, **changes: Any) -> Part:
    values = {"reports": part.reports, "status": part.status, "trials": part.trials}
    return Part(**{**values, "look_again_seconds": part.look_again_seconds, **changes})
