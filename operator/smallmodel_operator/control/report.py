"""Say how a model or route stands: its status when it changed, and an event for what a person would want to see."""

from collections.abc import Mapping
from typing import Any

from smallmodel_operator.api.conditions import Condition, Reason
from smallmodel_operator.cluster.events import Events
from smallmodel_operator.cluster.status_writer import StatusWriter
from smallmodel_operator.control import status
from smallmodel_operator.core.facts import Object

_EXPECTED = {
    Reason.SUSPENDED, Reason.SCALED_TO_ZERO, Reason.INFERENCE_STOPPED, Reason.STARTING, Reason.PROGRESSING,
    Reason.INSPECTING, Reason.DOWNLOADING, Reason.MAKING_ROOM, Reason.QUANTIZING, Reason.ROLLING_OUT,
    Reason.GATEWAY_SYNCING, Reason.ASKING_GOLDEN, Reason.PROBE_PENDING, Reason.POOL_FULL,
}  # fmt: skip
"""Why a model or route may be not Ready without anything being wrong."""


_TOLD = (
    Condition.STALLED,
    Condition.READY,
    Condition.QUALITY_MET,
    Condition.COST_OBJECTIVE_MET,
    Condition.BUDGET_AVAILABLE,
)


class Reporter:
    """Writes statuses and sends events of one kind."""

    def __init__(self, writer: StatusWriter, events: Events) -> None:
        self._writer = writer
        self._events = events

    async def report(self, body: Object, previous: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
        """Write a status that says something else than before, and tell of the change."""
        if status.equal(wanted, previous):
            return
        meta = body["metadata"]
        await self._writer.write(meta["namespace"], meta["name"], meta["uid"], wanted)
        await self._tell(body, previous, wanted)

    async def _tell(self, body: Object, previous: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
        """An event for each change a person would want to have seen."""
        for condition in _TOLD:
            old, new = status.find(previous, condition), status.find(wanted, condition)
            if (old.get("status"), old.get("reason")) == (new.get("status"), new.get("reason")):
                continue
            stalled = condition is Condition.STALLED
            if stalled and new.get("status") != "True":
                continue
            if condition is Condition.QUALITY_MET and new.get("reason") != Reason.QUALITY_DEGRADED:
                continue  # what Stalled says of a new version is enough
            if condition is Condition.COST_OBJECTIVE_MET and not _crossed(old, new):
                continue
            if condition is Condition.BUDGET_AVAILABLE and not _less(old, new):
                continue
            await self._events.send(
                body,
                warning=stalled or (new["status"] == "False" and new["reason"] not in _EXPECTED),
                reason=new["reason"],
                action="Reconcile",
                note=new["message"],
            )


def _less(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """A budget that is low, used up or not known any more; or that has begun anew after that."""
    return bool(new) and (new.get("reason") != Reason.BUDGET_LEFT or bool(old))


def _crossed(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """A cost objective that is missed now, or held again; that nothing is left is said of Ready."""
    if new.get("status") == "True":
        return old.get("status") == "False"
    return new.get("status") == "False" and new.get("reason") != Reason.BUDGET_EXHAUSTED
