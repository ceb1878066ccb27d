"""Other models that read the same weights: one that gets on is waited for, one whose source fails is not. Pure."""

from typing import Final

from smallmodel_operator.api.conditions import Reason
from smallmodel_operator.api.names import LABEL_MODEL, ROLE_DOWNLOAD
from smallmodel_operator.core.facts import Object, Snapshot
from smallmodel_operator.core.outcome import NotYet, Refused
from smallmodel_operator.weights import jobs, obstacles, seen, source
from smallmodel_operator.weights.types import WeightsRequest

_ASKED: Final = ("--url", "--hub", "--repository", "--revision", "--file", "--image")
"""Arguments of a Job that say whom it asks, and for what."""


def asked(request: WeightsRequest, where: source.Source) -> str:
    """Whom a Job for these weights asks; two that ask the same would wait for the same server."""
    if isinstance(where, source.OciSource | source.CopiedImage):
        return where.reference
    return _named(jobs.wanted(request, where)) if isinstance(where, source.Downloaded) else ""


def asked_by(pod: Object) -> str:
    """The same of a Job's pod that is there."""
    spec = pod.get("spec") or {}
    images = [v["image"]["reference"] for v in spec.get("volumes") or () if "image" in v]
    args = [str(word) for c in spec.get("containers") or () for word in c.get("args") or ()]
    return " ".join(filter(None, (_named(args), *images)))


def waits(request: WeightsRequest, where: source.Source, snapshot: Snapshot, role: str) -> NotYet | Refused | None:
    """For whom this model waits, in words; None where it begins itself.

    A peer that gets on is waited for, and one whose Job is about to begin. One whose source does not answer is waited
    for by those that would ask the same; whoever has another source tries that one.
    """
    names = snapshot.inspecting.get(where.artifact, ())
    pods = {name: _pods(snapshot, role, jobs.work(request, where), name) for name in names}
    own = asked(request, where)
    moving = [n for n in names if not pods[n] or any(_moves(where, snapshot, n, pod) for pod in pods[n])]
    same = [n for n in names if any(asked_by(pod) == own for pod in pods[n])]
    for name in (*moving, *same):
        does = "downloads" if role == ROLE_DOWNLOAD else "inspects"
        waits = NotYet(Reason.INSPECTING, f"SmallModel {name!r} {does} the same weights.", after_seconds=5)
        return obstacles.find(where, pods[name], snapshot.now) or waits
    return None


def _pods(snapshot: Snapshot, role: str, work: str, name: str) -> list[Object]:
    """Pods in which that peer does this work."""
    of_work = seen.of_peer(snapshot, role, work)
    return [p for p in of_work if (p["metadata"].get("labels") or {}).get(LABEL_MODEL) == name]


def _moves(where: source.Source, snapshot: Snapshot, name: str, pod: Object) -> bool:
    """Whether a pod gets on, as far as it can be told: of one that cannot be asked, for a minute."""
    status = pod.get("status", {})
    phase = status.get("phase")
    trouble = obstacles.find(where, [pod], snapshot.now)
    if phase == "Failed" or isinstance(trouble, Refused) or (trouble and trouble.reason is Reason.UNSCHEDULABLE):
        return False
    if phase != "Running" or not isinstance(where, source.Fetched):
        return True
    far = snapshot.peer_progress.get(name)
    if far is None:
        return snapshot.now - obstacles.time(status.get("startTime"), snapshot.now) < obstacles.PATIENCE
    return not far.reason


def _named(args: list[str]) -> str:
    return " ".join(args[n + 1] for n, word in enumerate(args[:-1]) if word in _ASKED)
