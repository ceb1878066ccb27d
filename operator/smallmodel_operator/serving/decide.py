"""What runs and how it is doing: the serving part of the plan."""

from dataclasses import dataclass

from smallmodel_operator.api.conditions import Condition, Reason, Report
from smallmodel_operator.core.facts import Object, Snapshot
from smallmodel_operator.core.plan import Part
from smallmodel_operator.serving import build, surge, trouble
from smallmodel_operator.serving.types import ServingRequest


@dataclass(frozen=True, slots=True)
class Replicas:
    """Counts read from the Deployment. `current` counts pods of the newest template."""

    wanted: int
    existing: int
    available: int
    current: int
    observed: bool
    deployed: bool = False
    """A Deployment that is not scaled to zero: what it was made from starts or runs, whatever the newest wish."""

    @property
    def settled(self) -> bool:
        return self.observed and self.wanted == self.existing == self.available == self.current


def replicas(live: Object | None, wanted: int) -> Replicas:
    """Counts of a Deployment; all zero when there is none."""
    if live is None:
        return Replicas(wanted, 0, 0, 0, wanted == 0)
    status = live.get("status", {})
    return Replicas(
        wanted=wanted,
        existing=status.get("replicas", 0),
        available=status.get("availableReplicas", 0),
        current=status.get("updatedReplicas", 0),
        observed=status.get("observedGeneration", 0) >= live["metadata"].get("generation", 0),
        deployed=live.get("spec", {}).get("replicas", 1) > 0,
    )


def settled(live: Object | None, wanted: int) -> bool:
    """Whether all its pods are there and of the newest template."""
    return replicas(live, wanted).settled


def objects(request: ServingRequest, live: Object | None, snapshot: Snapshot, *, gateway: str, awake: int) -> Part:
    """The objects of a model that may run.

    Args:
        request: the model; its `replicas` are those wanted now.
        live: its Deployment, if there is one.
        snapshot: the rest of the world.
        gateway: DNS name of the gateway's Service.
        awake: replicas when it does not sleep; the disruption budget stays while it does.
    """
    swap = surge.decide(request.replicas, live, replicas(live, request.replicas).settled, snapshot)
    made: list[Object] = [
        build.deployment(request, live, swap),
        *build.addresses(request.name, request.namespace, gateway),
    ]
    if awake > 1:
        made.append(build.disruption_budget(request.name, request.namespace))
    reports = (swap.report,) if swap.report else ()
    return Part(objects=tuple(made), reports=reports, look_again_seconds=swap.look_again_seconds)


def observe(
    name: str, wanted: int, why_none: Reason | None, snapshot: Snapshot
) -> tuple[Part, Replicas, trouble.Trouble | None]:
    """Report `Available` from what is seen, whoever planned it."""
    live = snapshot.child("Deployment", name)
    count = replicas(live, wanted)
    found = None
    if wanted:
        found = trouble.find(snapshot.pods_of("server"), live, snapshot.now, snapshot.largest_node_memory)
    report = _available(count, why_none, found)
    again = found.look_again_seconds if found else None
    return Part(reports=(report,), look_again_seconds=again), count, found


def _available(count: Replicas, why_none: Reason | None, found: trouble.Trouble | None) -> Report:
    if not count.wanted:
        if why_none is Reason.ASLEEP:
            return Report(Condition.AVAILABLE, False, Reason.ASLEEP, "Asleep: the next request starts a replica.")
        if why_none is Reason.SUSPENDED:
            return Report(Condition.AVAILABLE, False, Reason.SUSPENDED, "Switched off: `spec.suspend` is true.")
        if why_none is Reason.BUDGET_EXHAUSTED:
            return Report(Condition.AVAILABLE, False, Reason.BUDGET_EXHAUSTED, "The month's budget is used up.")
        return Report(Condition.AVAILABLE, False, Reason.SCALED_TO_ZERO, "Switched off: `spec.replicas` is 0.")
    answering = f"{count.available} of {count.wanted} replica(s) answer."
    if count.available:
        return Report(Condition.AVAILABLE, True, Reason.SERVING, answering)
    if found:
        return Report(Condition.AVAILABLE, False, found.reason, found.message)
    return Report(Condition.AVAILABLE, False, Reason.STARTING, f"{answering} Pods are starting.")
