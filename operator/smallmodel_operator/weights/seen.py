"""The Jobs of a model's weights and their pods, as a snapshot shows them. Pure."""

from datetime import datetime

from smallmodel_operator.api.names import LABEL_ARTIFACT, LABEL_ROLE, ROLE_EVICT, short_hash
from smallmodel_operator.core.facts import Object, Snapshot
from smallmodel_operator.weights import jobs, obstacles, result


def youngest(snapshot: Snapshot, role: str, wanted: str) -> Object | None:
    """The youngest Job of this work; an older attempt may still be on its way out."""
    mark = short_hash(wanted)
    found = [
        obj
        for (kind, _), obj in snapshot.children.items()
        if kind == "Job"
        and obj["metadata"].get("labels", {}).get(LABEL_ROLE) == role
        and obj["metadata"].get("labels", {}).get(LABEL_ARTIFACT) == mark
        and not obj["metadata"].get("deletionTimestamp")
    ]
    return max(found, key=attempt, default=None)


def attempt(job: Object) -> int:
    """How often this work was tried before."""
    text = (job["metadata"].get("annotations") or {}).get(jobs.ANNOTATION_ATTEMPT, "0")
    return int(text) if text.isdecimal() and len(text) < 6 else 0


def pods(snapshot: Snapshot, role: str, job: Object) -> list[Object]:
    """Pods of a Job, the youngest first."""
    name = job["metadata"]["name"]
    mine = [
        p for p in snapshot.pods_of(role) if p["metadata"].get("labels", {}).get("batch.kubernetes.io/job-name") == name
    ]
    return sorted(mine, key=lambda p: str(p["metadata"].get("creationTimestamp", "")), reverse=True)


def of_peer(snapshot: Snapshot, role: str, wanted: str) -> list[Object]:
    """Pods in which another model does this work."""
    marks = {LABEL_ROLE: role, LABEL_ARTIFACT: short_hash(wanted)}
    return [p for p in snapshot.peer_pods if marks.items() <= (p["metadata"].get("labels") or {}).items()]


def said(snapshot: Snapshot, role: str, job: Object) -> result.Said | None:
    """What the youngest pod that said something said."""
    found = (obstacles.last_words(pod) for pod in pods(snapshot, role, job))
    return next((said for said in found if said is not None), None)


def freed(snapshot: Snapshot, job: Object) -> result.Evicted | None:
    """What the youngest pod of an eviction that said something said."""
    for pod in pods(snapshot, ROLE_EVICT, job):
        for state in pod.get("status", {}).get("containerStatuses", []):
            ended = state.get("state", {}).get("terminated") or {}
            if (said := result.evicted(ended.get("message", ""))) is not None:
                return said
    return None


def ended(job: Object) -> Object | None:
    """The condition that says how a Job ended; None while it has not."""
    found = {c["type"]: c for c in job.get("status", {}).get("conditions", []) if c.get("status") == "True"}
    return found.get("Complete") or found.get("Failed")


def began(job: Object) -> float:
    """When a Job was made, in seconds since 1970."""
    stamp = job["metadata"].get("creationTimestamp")
    return datetime.fromisoformat(stamp.replace("Z", "+00:00")).timestamp() if stamp else 0.0


def planned(job: Object) -> Object:
    """A live Job as it was planned: what it said is still needed, whatever would be planned in its place now."""
    meta = {key: job["metadata"][key] for key in ("name", "namespace", "labels", "annotations")}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": meta, "spec": job["spec"]}
