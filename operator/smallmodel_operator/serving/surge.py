"""Rollout of a single replica where no node has room for a second one: in place, while the gateway holds. Pure."""

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from smallmodel_operator.api.conditions import Condition, Reason, Report
from smallmodel_operator.core.facts import Object, Snapshot
from smallmodel_operator.core.room import requested
from smallmodel_operator.core.units import MIB
from smallmodel_operator.serving.trouble import unscheduled_since

PATIENCE: Final = timedelta(seconds=15)
"""How long the surge pod may wait for a node before the running one makes room for it."""


@dataclass(frozen=True, slots=True)
class Surge:
    """How the Deployment replaces pods, and what is said about it."""

    in_place: bool
    report: Report | None = None
    look_again_seconds: float | None = None

    @property
    def strategy(self) -> dict[str, Any]:
        """The Deployment's `strategy`."""
        surge, unavailable = (0, 1) if self.in_place else (1, 0)
        return {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}}


def decide(replicas: int, live: Object | None, settled: bool, snapshot: Snapshot) -> Surge:
    """Replace in place or beside?

    Args:
        replicas: wanted now.
        live: the Deployment, if there is one.
        settled: it has nothing under way.
        snapshot: pods, room, and whether gateways are there to hold callers.
    """
    if replicas != 1 or live is None or settled:
        return Surge(in_place=False)
    waiting = _waiting(snapshot)
    already = live.get("spec", {}).get("strategy", {}).get("rollingUpdate", {}).get("maxSurge") == 0
    if waiting is None:
        return Surge(already, _report("") if already else None)
    pod, since, message = waiting
    left = (PATIENCE - (snapshot.now - since)).total_seconds()
    if not already and (left > 0 or not snapshot.traffic.complete):
        return Surge(in_place=False, look_again_seconds=max(1.0, left))
    return Surge(True, _report(_missing(pod, message, snapshot)))


def _waiting(snapshot: Snapshot) -> tuple[Object, Any, str] | None:
    """The pod no node has room for, since when, and the scheduler's word; only beside one that answers."""
    pods = snapshot.pods_of("server")
    if not any(_ready(p) for p in pods):
        return None
    for pod in pods:
        found = unscheduled_since(pod, snapshot.now)
        if found is not None and "Insufficient" in found[1]:
            return pod, *found
    return None


def _ready(pod: Object) -> bool:
    conditions = pod.get("status", {}).get("conditions", [])
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def _missing(pod: Object, message: str, snapshot: Snapshot) -> str:
    if "memory" in message and snapshot.freest_node_memory is not None:
        short = requested(pod) - snapshot.freest_node_memory
        if short > 0:
            return f"{-(-short // MIB)} MiB of memory are missing"
    kinds = re.findall(r"Insufficient ([^\s,]+?)[.,]?(?:\s|$)", message)
    return f"what is missing: {', '.join(sorted(set(kinds)))}"


def _report(missing: str) -> Report:
    text = "The only replica is replaced in place and the gateway holds its callers"
    if missing:
        text += f", because no node has room for a second one ({missing})"
    return Report(Condition.NO_ROOM_FOR_SURGE, True, Reason.REPLACING_IN_PLACE, f"{text}.")
