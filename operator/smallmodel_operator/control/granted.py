"""What a grant makes of a model's replicas, and how it is said. Pure."""

from dataclasses import replace
from typing import Final

from smallmodel_operator.api.conditions import Condition, Reason, Report
from smallmodel_operator.autoscaling.sleep import LEAST_LOOK_SECONDS, Count, SleepRequest
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
    elif not available:
        return kept  # somebody waits, and a gateway would wake it again: its pod waits for a node
    return Count(0, f"{YIELDED}{granted.why}", asleep=True)


def part(asked: Part, asleep: bool, snapshot: Snapshot) -> Part:
    """What is said of scaling, with what the pool says of it."""
    granted = snapshot.granted
    if granted is None or asleep or snapshot.stranger is not None or not granted.full or granted.idle:
        return asked
    report = Report(Condition.SCALING_ACTIVE, granted.replicas > 0, Reason.POOL_FULL, _full(granted))
    others = tuple(r for r in asked.reports if r.condition is not Condition.SCALING_ACTIVE)
    return replace(asked, reports=(report, *others))


def trouble(found: Trouble | None, snapshot: Snapshot) -> Trouble | None:
    """A pod without a node is no trouble that somebody must act on while models share the pool: it waits its turn."""
    granted = snapshot.granted
    if found is None or found.reason is not Reason.UNSCHEDULABLE or granted is None:
        return found
    if not granted.full:
        return None
    return Trouble(Reason.POOL_FULL, _full(granted), stuck=False)


def _full(granted: Granted) -> str:
    return (
        f"Replicas that have room: {granted.why}. It gets more when they are asked less; `spec.scaling.priority` says "
        "who goes first, and another node is room for all."
    )
