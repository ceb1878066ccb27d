"""What a grant makes of a model's replicas, and how it is said. Pure."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from smallmodel_operator.api.conditions import Condition, Reason, Report
from smallmodel_operator.autoscaling.sleep import LEAST_LOOK_SECONDS, LOOK_AGAIN_SECONDS, Count, SleepRequest
from smallmodel_operator.control.status import find
from smallmodel_operator.core.facts import Snapshot
from smallmodel_operator.core.plan import Part
from smallmodel_operator.core.scaling import Granted
from smallmodel_operator.serving.trouble import Trouble

YIELDED: Final = "asleep in a full pool: "


def limited(found: Count, request: SleepRequest, current: int | None, available: int, snapshot: Snapshot) -> Count:
    """The replicas a model has in a pool that does not hold everything.

    Args:
        found: what it would have with room for all.
        request: its wish.
        current: `spec.replicas` of its Deployment; None: there is none yet.
        available: replicas that answer.
        snapshot: what is granted, and what the gateways say.
    """
    granted, traffic = snapshot.granted, snapshot.traffic
    least = 0 if request.may_sleep else request.limits[0] if request.limits else request.replicas
    if granted is None or not current:
        return found
    room = max(granted.replicas, least)
    if granted.running <= granted.replicas:
        room = max(room, available)  # what came since found room: the scheduler was faster than the next look
    if found.replicas <= room:
        return found
    if room:
        return replace(found, replicas=room, why=granted.why)
    kept = replace(found, replicas=min(found.replicas, max(1, current)), why=granted.why)
    if granted.idle:
        if traffic.busy or not traffic.complete:
            return found if available else kept
        if not traffic.current:
            again = min(LEAST_LOOK_SECONDS, found.look_again_seconds or LEAST_LOOK_SECONDS)
            return replace(found if available else kept, look_again_seconds=again)
    elif not _said(snapshot.previous_status):
        # Said before it is done: gateways wake whom somebody asks at once, unless they know that there is no room.
        return replace(kept, look_again_seconds=LEAST_LOOK_SECONDS)
    return Count(0, f"{YIELDED}{granted.why}", asleep=True)


def slept(status: Mapping[str, Any]) -> str:
    """Why it went to sleep, as it was said then, if that was for want of room; else empty."""
    known = status.get("scaling") or {}
    why = str(known.get("why") or "")
    return why if not known.get("desired") and why.startswith(YIELDED) else ""


def waited(snapshot: Snapshot) -> float:
    """Seconds since it was said that a model waits for room, also by an operator that is gone; 0: it was not."""
    known = find(snapshot.previous_status, Condition.SCALING_ACTIVE)
    if not _said(snapshot.previous_status) or not known.get("lastTransitionTime"):
        return 0.0
    since = datetime.fromisoformat(str(known["lastTransitionTime"]).replace("Z", "+00:00"))
    return max(0.0, (snapshot.now - since).total_seconds())


def waits(snapshot: Snapshot) -> bool:
    """It is asked, and there is no room for a replica of it. Gateways hold who asks, and do not wake it."""
    granted = snapshot.granted
    return granted is not None and granted.full and not granted.idle and not granted.replicas


def _said(status: Mapping[str, Any]) -> bool:
    active = find(status, Condition.SCALING_ACTIVE)
    return (active.get("status"), active.get("reason")) == ("False", Reason.POOL_FULL)


def part(asked: Part, snapshot: Snapshot) -> Part:
    """What is said of scaling, with what the pool says of it."""
    granted = snapshot.granted
    if granted is None or snapshot.stranger is not None or not granted.full or granted.idle:
        return asked
    report = Report(Condition.SCALING_ACTIVE, granted.replicas > 0, Reason.POOL_FULL, _full(granted))
    others = tuple(r for r in asked.reports if r.condition is not Condition.SCALING_ACTIVE)
    # Each look asks the gateways: one that is not asked for long takes the operator for gone, and wakes.
    return replace(asked, reports=(report, *others), look_again_seconds=LOOK_AGAIN_SECONDS)


def trouble(found: Trouble | None, waiting: bool, snapshot: Snapshot) -> Trouble | None:
    """A pod without a node is no trouble that somebody must act on while models share the pool: it waits its turn.
    So does a model that is `waiting`, asleep."""
    granted = snapshot.granted
    if granted is None or not (found.reason is Reason.UNSCHEDULABLE if found else waiting):
        return found
    if not granted.full:
        return None
    return Trouble(Reason.POOL_FULL, _full(granted), stuck=False)


def _full(granted: Granted) -> str:
    return (
        f"Replicas that have room: {granted.why}. It gets more when they are asked less; `spec.scaling.priority` says "
        "who goes first, and another node is room for all."
    )
