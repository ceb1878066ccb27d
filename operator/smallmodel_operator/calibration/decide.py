"""Is what was measured of a model still true, and when is it measured?"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from smallmodel_operator.api.conditions import Condition, Reason, Report
from smallmodel_operator.core.facts import Object, Snapshot
from smallmodel_operator.core.plan import Part
from smallmodel_operator.core.trial import Failure, Figures, Trial

USEFUL_SHARE: Final = 0.95
"""Beyond the first number of requests at once that reaches this much of the best, more of them only wait for each
other."""
BUSY_LOOK_SECONDS: Final = 15.0
"""When to look again whether nobody asks: what is measured beside callers is not the replica's speed."""
PATIENT_TRIES: Final = 6
"""A pod may be unreachable for a while; after so many tries, about eight minutes, the condition says so."""


@dataclass(frozen=True, slots=True)
class CalibrationRequest:
    """`version` names everything a pod's speed depends on: weights, engine, arguments, resources."""

    name: str
    version: str
    slots: int
    context: int
    settled: bool
    """All replicas that are wanted answer, and all are of this version."""


def decide(request: CalibrationRequest, snapshot: Snapshot) -> Part:
    """Keep what is known of this version; else measure it as soon as a replica answers and nobody asks."""
    known = snapshot.previous_status.get("capacity") or {}
    if known.get("version") == request.version:
        return Part(reports=(_measured(known),), status={"capacity": known})
    key = f"calibration/{request.version}"
    result = snapshot.trials.get(key)
    if isinstance(result, Figures):
        made = capacity(request.version, result, cold_start(snapshot))
        return Part(reports=(_measured(made),), status={"capacity": made})
    reports = _not_yet(result, known)
    pod = _ready(snapshot.pods_of("server"))
    if not request.settled or pod is None:
        return Part(reports=reports)
    if snapshot.traffic.busy:
        return Part(reports=reports, look_again_seconds=BUSY_LOOK_SECONDS)
    trial = Trial(key, str(pod["status"]["podIP"]), request.name, request.slots, request.context)
    return Part(reports=reports, trials=(trial,))


def capacity(version: str, figures: Figures, cold_start: int) -> dict[str, Any]:
    """`status.capacity` of what was measured."""
    made: dict[str, Any] = {
        "version": version,
        "prefillTokensPerSecond": text(figures.prefill),
        "decodeTokensPerSecond": [
            {"concurrency": at_once, "tokensPerSecond": text(speed)} for at_once, speed in figures.decode
        ],
        "timeToFirstTokenMilliseconds": max(1, round(figures.first_token * 1000)),
    }
    if figures.decode:
        made["usefulConcurrency"] = useful(figures.decode)
    return made | ({"coldStartSeconds": cold_start} if cold_start else {})


def useful(decode: Iterable[tuple[int, float]]) -> int:
    """The fewest requests at once that get nearly the best out of a replica."""
    points = sorted(decode)
    best = max(speed for _, speed in points)
    return next(at_once for at_once, speed in points if speed >= USEFUL_SHARE * best)


def text(value: float) -> str:
    """A speed as decimal text, three digits that count: status holds no binary fractions."""
    digits = 0 if value >= 100 else 1 if value >= 10 else 2
    return f"{value:.{digits}f}"


def _measured(known: Mapping[str, Any]) -> Report:
    if points := known.get("decodeTokensPerSecond"):
        said = (
            f"A replica reads {known['prefillTokensPerSecond']} and writes {points[0]['tokensPerSecond']} tokens a "
            f"second for one caller; up to {known['usefulConcurrency']} at once make more of it."
        )
    else:
        said = (
            f"A replica reads {known['prefillTokensPerSecond']} tokens a second; what it writes within its context is "
            "too short to measure."
        )
    return Report(Condition.CALIBRATED, True, Reason.MEASURED, said)


def _not_yet(result: object, known: Mapping[str, Any]) -> tuple[Report, ...]:
    if isinstance(result, Failure) and result.tries >= PATIENT_TRIES:
        said = f"The speed of a replica could not be measured in {result.tries} tries: {result.message}"
        return (Report(Condition.CALIBRATED, False, Reason.CALIBRATION_FAILED, said),)
    if known:
        said = "`status.capacity` is of an earlier version; this one is measured when it answers and nobody asks."
        return (Report(Condition.CALIBRATED, False, Reason.CALIBRATION_PENDING, said),)
    return ()


def _ready(pods: Iterable[Object]) -> Object | None:
    """The first pod that answers."""
    for pod in pods:
        status = pod.get("status", {})
        ready = any(c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions", ()))
        if ready and status.get("podIP") and not pod["metadata"].get("deletionTimestamp"):
            return pod
    return None


def cold_start(snapshot: Snapshot) -> int:
    """Whole seconds from asleep to answering: as gateways saw it, else from the pod's creation; 0: not known."""
    if (seen := snapshot.traffic.cold_start) is not None:
        return max(1, round(seen.total))
    pod = _ready(snapshot.pods_of("server"))
    if pod is None or not (made := pod["metadata"].get("creationTimestamp")):
        return 0
    ready = next(c for c in pod["status"]["conditions"] if c["type"] == "Ready").get("lastTransitionTime")
    return max(1, round((_time(ready) - _time(made)).total_seconds())) if ready else 0


def _time(stamp: str) -> datetime:
    return datetime.fromisoformat(stamp.replace("Z", "+00:00"))
