"""One model, once: the whole flow in one function. Called again and again; it remembers nothing itself."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from smallmodel_operator.api.conditions import Condition, Reason
from smallmodel_operator.cluster.apply import Applier
from smallmodel_operator.cluster.events import Events
from smallmodel_operator.cluster.observe import Observer
from smallmodel_operator.cluster.status_writer import StatusWriter
from smallmodel_operator.control import concerns, status
from smallmodel_operator.core.facts import Object, Snapshot
from smallmodel_operator.core.outcome import NotYet, Refused
from smallmodel_operator.core.plan import Plan
from smallmodel_operator.resolve import Resolved, Site, parse, resolve
from smallmodel_operator.serving import decide as serving
from smallmodel_operator.weights import decide as weights

RESYNC_SECONDS: Final = 600.0
"""At rest every model is compared with its plan this often, though nothing poked."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Result:
    """What a pass led to: the status it wrote or found, and when to look again without a poke."""

    status: Mapping[str, Any]
    look_again_seconds: float
    refused: bool


class Reconciler:
    """The flow, with the effects it uses."""

    def __init__(self, observer: Observer, applier: Applier, writer: StatusWriter, events: Events, site: Site) -> None:
        self.observer = observer
        self._applier = applier
        self._writer = writer
        self._events = events
        self._site = site

    async def report_outage(self, body: Object, message: str) -> None:
        """Show a failure in the status, without planning anything."""
        snapshot = await self.observer.snapshot(body, profile=None)
        nothing = Plan.of((), prune=False)
        seen = self._observe(body, snapshot, None, nothing, None, message)
        await self._report(body, snapshot, seen, nothing)

    async def reconcile(self, body: Object) -> Result:
        """Bring one model a step closer to its spec and say how it stands.

        Raises:
            Exception: an outage or a bug; the loop backs off and retries.
        """
        meta = body["metadata"]
        model = (meta["namespace"], meta["name"])
        snapshot, resolved, decision = await self._decide(body)
        hold = decision.hold
        try:
            after = await self._applier.apply(model, meta["uid"], decision.plan, snapshot.children)
            snapshot = replace(snapshot, children=after)
        except (Refused, NotYet) as error:
            hold = error
        seen = self._observe(body, snapshot, resolved, decision.plan, hold, "")
        return await self._report(body, snapshot, seen, decision.plan)

    async def _decide(self, body: Object) -> tuple[Snapshot, Resolved | None, concerns.Decision]:
        try:
            model = parse(body)
        except Refused as hold:
            snapshot = await self.observer.snapshot(body, profile=None)
            return snapshot, None, concerns.Decision(Plan.of((), prune=False), hold)
        profile = self.observer.profile(model.spec.compute.profile_ref.name)
        try:
            resolved = resolve(body, model, profile, self._site)
            request = concerns.weights_request(resolved)
            snapshot = await self.observer.snapshot(
                body, profile=profile, claims=weights.claims(request), artifact=weights.artifact(request)
            )
        except Refused as hold:
            snapshot = await self.observer.snapshot(body, profile=profile)
            return snapshot, None, concerns.Decision(Plan.of((), prune=False), hold)
        return snapshot, resolved, concerns.decide(resolved, snapshot)

    @staticmethod
    def _observe(
        body: Object, snapshot: Snapshot, resolved: Resolved | None, plan: Plan, hold: status.Hold, outage: str
    ) -> tuple[status.Outcome, float | None]:
        name = body["metadata"]["name"]
        wanted, off = _wanted(body, resolved)
        part, count, trouble = serving.observe(name, wanted, off is Reason.SUSPENDED, snapshot)
        outcome = status.Outcome(
            name=name,
            generation=body["metadata"].get("generation", 0),
            off=off,
            count=count,
            reports=(*plan.reports, *part.reports),
            hold=hold,
            trouble=trouble,
            outage=outage,
            fields=plan.status,
        )
        return outcome, part.look_again_seconds

    async def _report(
        self, body: Object, snapshot: Snapshot, seen: tuple[status.Outcome, float | None], plan: Plan
    ) -> Result:
        outcome, again = seen
        meta, previous = body["metadata"], snapshot.previous_status
        wanted = status.summarise(outcome, previous, datetime.now(UTC))
        if wanted != previous:
            await self._writer.write(meta["namespace"], meta["name"], meta["uid"], wanted)
            await self._tell(body, previous, wanted)
        looks = [RESYNC_SECONDS, plan.look_again_seconds, again]
        if isinstance(outcome.hold, NotYet):
            looks.append(outcome.hold.after_seconds)
        elif isinstance(outcome.hold, Refused):
            looks.append(outcome.hold.recheck_seconds)
        return Result(wanted, min(x for x in looks if x is not None), isinstance(outcome.hold, Refused))

    async def _tell(self, body: Object, previous: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
        """An event for each change a person would want to have seen."""
        for condition, bad in ((Condition.STALLED, "True"), (Condition.READY, "")):
            old, new = status.find(previous, condition), status.find(wanted, condition)
            if (old.get("status"), old.get("reason")) == (new.get("status"), new.get("reason")):
                continue
            if condition is Condition.STALLED and new.get("status") != bad:
                continue
            await self._events.send(
                body,
                warning=new["status"] == bad,
                reason=new["reason"],
                action="Reconcile",
                note=new["message"],
            )


def _wanted(body: Object, resolved: Resolved | None) -> tuple[int, Reason | None]:
    """Replicas wished for, and why none: also known when the rest of the wish was refused."""
    spec = body.get("spec") or {}
    suspended = bool(spec.get("suspend"))
    wanted = resolved.replicas if resolved else (0 if suspended else int(spec.get("replicas") or 0))
    if wanted:
        return wanted, None
    return 0, Reason.SUSPENDED if suspended else Reason.SCALED_TO_ZERO
