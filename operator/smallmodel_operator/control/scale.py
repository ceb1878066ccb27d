"""How many replicas are wanted now, and what a wake takes: from what is seen to what autoscaling asks. Pure."""

from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

from smallmodel_operator.api.conditions import Condition, Reason
from smallmodel_operator.autoscaling import external, sleep
from smallmodel_operator.control import granted
from smallmodel_operator.core.external import Seen
from smallmodel_operator.core.facts import Snapshot


def count(name: str, request: sleep.SleepRequest, snapshot: Snapshot) -> sleep.Count:
    """How many replicas are wanted now: the user's number, the objective's, what the pool has room for, or none while
    the model sleeps."""
    live = snapshot.child("Deployment", name)
    current = None if live is None else int(live.get("spec", {}).get("replicas", 1))
    available = 0 if live is None else int(live.get("status", {}).get("availableReplicas", 0))
    found = _own(request, current, available, snapshot)
    if found.asleep and current == 0 and (before := granted.slept(snapshot.previous_status)):
        return replace(found, why=before)
    return found if snapshot.stranger else granted.limited(found, request, current, available, snapshot)


def _own(request: sleep.SleepRequest, current: int | None, available: int, snapshot: Snapshot) -> sleep.Count:
    """With room for all."""
    if request.replicas and snapshot.stranger is not None:
        left = snapshot.stranger
        return sleep.Count(left.replicas, f"left to {left.by}, which sets replicas of the Deployment again and again")
    if request.external is not None:
        return external.decide(external.look(request.replicas, request.external, before(snapshot)), current)
    if request.limits is None or not request.replicas:
        return sleep.decide(request, current, available, snapshot.traffic, up_seconds(snapshot))
    (least, most), budget = request.limits, snapshot.budget
    if budget is not None and budget.exhausted:
        return sleep.end(current, snapshot.traffic, refuse=budget.refuse)
    if budget is not None:
        least, most = min(least, budget.least), min(most, budget.most)
    said = snapshot.scaled
    # Without a word of the controller, as after a restart of the operator, what runs is kept.
    number = min(max(said.replicas if said else current or least, least), most)
    asked = replace(request, replicas=number)
    found = sleep.decide(asked, current, available, snapshot.traffic, up_seconds(snapshot))
    if found.asleep or found.waking:
        return found
    why = said.why if said else f"{number} kept: nothing is known of its requests yet"
    if budget is not None and budget.binds and said and said.replicas > number:
        why = f"{number} of {said.replicas}: {budget.binds}; {why}"[:512]
    return replace(found, why=why)


def before(snapshot: Snapshot) -> Seen | None:
    """What the pass before saw of a model in mode External; None: it was in another mode."""
    found = (snapshot.previous_status.get("scaling") or {}).get("external")
    if not found or "replicas" not in found:
        return None
    return Seen(int(found["replicas"]), bool(found.get("owned")), bool(found.get("written")))


def up_seconds(snapshot: Snapshot) -> float:
    """For how long the model has answered, by its own conditions: Ready alone stays True through a sleep."""
    known = {c["type"]: c for c in snapshot.previous_status.get("conditions") or []}
    since = [known.get(kind, {}) for kind in (Condition.READY, Condition.AVAILABLE)]
    if since[0].get("reason") == Reason.INFERENCE_STOPPED:
        since = since[1:]  # a stop keeps nobody awake
    if any(c.get("status") != "True" or not c.get("lastTransitionTime") for c in since):
        return 0.0
    latest = max(datetime.fromisoformat(c["lastTransitionTime"].replace("Z", "+00:00")) for c in since)
    return max(0.0, (snapshot.now - latest).total_seconds())


def cold_start(snapshot: Snapshot) -> dict[str, Any]:
    """What a wake usually takes; gateways forget it when they restart, the status does not."""
    start = snapshot.traffic.cold_start
    if start is None:
        kept = (snapshot.previous_status.get("scaling") or {}).get("coldStart")
        return {"coldStart": kept} if (kept or {}).get("totalMilliseconds") else {}
    stages = {stage: round(seconds, 2) for stage, seconds in asdict(start).items()}  # what repeats is no news
    stages["total"] = sum(stages.values())
    return {"coldStart": {f"{stage}Milliseconds": round(seconds * 1000) for stage, seconds in stages.items()}}
