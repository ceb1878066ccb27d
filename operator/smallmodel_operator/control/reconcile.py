"""One model, once: the whole flow in one function. Called again and again; it remembers nothing itself."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Final

from smallmodel_operator.api.conditions import Condition
from smallmodel_operator.cluster.apply import Applier
from smallmodel_operator.cluster.children import FORGET_SECONDS, ModelKey
from smallmodel_operator.cluster.events import Events
from smallmodel_operator.cluster.key_table import KeyTable
from smallmodel_operator.cluster.observe import Observer
from smallmodel_operator.cluster.secrets import Secrets
from smallmodel_operator.cluster.status_writer import StatusWriter
from smallmodel_operator.control import budget, objective, pool, status, verdict
from smallmodel_operator.control.objective import Subject
from smallmodel_operator.control.pool import Tenant
from smallmodel_operator.control.report import Reporter
from smallmodel_operator.control.strangers import Strangers
from smallmodel_operator.control.verdict import Verdict
from smallmodel_operator.core.facts import Object, Snapshot
from smallmodel_operator.core.outcome import NotYet, Refused
from smallmodel_operator.core.plan import Note, Plan
from smallmodel_operator.core.trial import Trial
from smallmodel_operator.resolve import Site

BUSY_SECONDS: Final = 0.5
"""When to look whether it is time to say what was done, if other models wait for their first children."""
UNSAID_SECONDS: Final = 5.0
"""How long a new model may wait for its first status then; many are Ready before, and one write says it all."""


class Reconciler:
    """The flow, with the effects it uses."""

    def __init__(
        self,
        observer: Observer,
        applier: Applier,
        writer: StatusWriter,
        events: Events,
        site: Site,
        secrets: Secrets,
        keys: KeyTable,
    ) -> None:
        self.observer = observer
        self._secrets = secrets
        self._keys = keys
        self._applier = applier
        self._writer = writer
        self._events = events
        self._reporter = Reporter(writer, events)
        self._site = site
        self.strangers = Strangers(observer.writer)
        self.busy: Callable[[], bool] = lambda: False
        """Are models waiting for their turn? The loop knows and sets it."""
        self.noted: Callable[[Note], None] = lambda _: None
        """Told of each thing that happened once, for metrics."""
        self.want_trials: Callable[[ModelKey, str, tuple[Trial, ...]], None] = lambda *_: None
        """Who runs trials sets it."""
        self.follow: Callable[[ModelKey, Subject | None, Tenant | None], None] = lambda *_: None
        """Told how a model stands whose replicas follow an objective, or that shares the pool; who decides sets it."""
        self.follow_budget: Callable[[ModelKey, budget.Subject | None], None] = lambda *_: None
        """The same of a model with a cost objective; who judges them sets it."""
        self._unsaid: dict[ModelKey, datetime] = {}
        """New models, and since when nothing was said of them."""

    async def reconcile(self, body: Object) -> Verdict:
        """Bring one model a step closer to its spec and say how it stands.

        Raises:
            NotLeader: this process may no longer write.
            Exception: an outage or a bug; the loop backs off and retries.
        """
        meta = body["metadata"]
        model = (meta["namespace"], meta["name"])
        # What was resolved a moment ago may not have come back from the watch yet, and is not resolved anew.
        known = {**body, "status": self._writer.latest(body)}
        wish = verdict.understand(known, self.observer.profile, self._site)
        if self.observer.named.is_a_routes(body):
            wish = replace(wish, resolved=None, hold=verdict.name_taken(meta["name"]))
        snapshot = await self.observer.snapshot(
            body,
            profile=wish.profile,
            claims=wish.claims,
            artifact=wish.artifact,
            secrets=wish.secrets,
            config_maps=wish.config_maps,
            node_selector=wish.node_selector,
            asks_registry=wish.asks_registry,
            asks=wish.asks,
        )
        live = snapshot.child("Deployment", meta["name"])
        stranger, restores = await self.strangers.look(model, live, self._applier.replicas(model))
        limited = snapshot.budget or budget.remembered(wish.resolved, snapshot)
        snapshot = replace(snapshot, stranger=stranger, budget=limited)
        decision = verdict.decide(body, wish, snapshot, self._site)
        hold: status.Hold = decision.hold
        nothing_removed = False
        restored: tuple[Note, ...] = ()
        try:
            # Before the pods, which mount one of them.
            fresh = not snapshot.children
            restored = await self._secrets.publish(model, meta["uid"], decision.plan.secrets, fresh=fresh)
            if wish.resolved is not None:
                self._keys.offer(model, decision.plan.keys, meta["uid"])
            after = await self._applier.apply(model, meta["uid"], decision.plan, snapshot.children)
            # Nothing may be removed: a finished inspection's result lives only in the status about to be written.
            nothing_removed = set(snapshot.children) <= set(after)
            snapshot = replace(snapshot, children=after)
            if wish.resolved is not None:
                about = replace(snapshot, previous_status={**snapshot.previous_status, **decision.plan.status})
                subject, tenant = objective.subject(wish.resolved, snapshot), pool.tenant(wish.resolved, about)
                self.follow(model, subject, tenant)
                self.follow_budget(model, budget.subject(wish.resolved, body, snapshot))
        except (Refused, NotYet) as error:
            hold = error
        plan = decision.plan
        if unfit := self._keys.problem(model):
            again = min(s for s in (plan.look_again_seconds, unfit.recheck_seconds) if s is not None)
            plan = replace(plan, problems=(*plan.problems, unfit), look_again_seconds=again)
        seen = verdict.judge(body, snapshot, plan, hold)
        if nothing_removed and not isinstance(hold, Refused) and self._may_wait(model, snapshot, seen):
            # Many models wait: children first, what is said about them a moment later.
            return replace(seen, look_again_seconds=min(seen.look_again_seconds, BUSY_SECONDS))
        await self._reporter.report(body, snapshot.previous_status, seen.status)
        for note in (*restored, *plan.notes, *([restores] if restores else ())):
            said = {"reason": note.reason, "action": "Reconcile", "note": note.message}
            if await self._events.send(body, warning=False, **said):
                self.noted(note)
        self.want_trials(model, meta["uid"], plan.trials)  # after the report: a result that stands in it may go
        if self.observer.children.unconfirmed(model):
            return replace(seen, look_again_seconds=min(seen.look_again_seconds, FORGET_SECONDS + 1))
        return seen

    def _may_wait(self, model: ModelKey, snapshot: Snapshot, seen: Verdict) -> bool:
        """Nothing was ever said of a model, there is no good news of it yet, and others want the API server."""
        silent = not snapshot.previous_status.get("conditions")
        since = self._unsaid.setdefault(model, snapshot.now)
        long = (snapshot.now - since).total_seconds() >= UNSAID_SECONDS
        good = status.find(seen.status, Condition.READY).get("status") == "True"
        if silent and not long and not good and self.busy():
            return True
        del self._unsaid[model]
        return False

    async def report_outage(self, body: Object, message: str) -> None:
        """Show a failure in the status, without planning anything, beside what is refused."""
        snapshot = await self.observer.snapshot(body, profile=None)
        refused = status.standing(snapshot.previous_status, body["metadata"].get("generation", 0))
        seen = verdict.judge(body, snapshot, Plan.of((), prune=False), refused, message)
        await self._reporter.report(body, snapshot.previous_status, seen.status)

    def forget(self, body: Object, *, succeeded: bool = False) -> None:
        """The model is gone: drop what was cached for it, unless it is a successor's of the same name by now."""
        meta = body["metadata"]
        self._writer.forget(meta["uid"])
        self._events.forget(meta["uid"])
        if succeeded:
            return
        model = (meta["namespace"], meta["name"])
        self._unsaid.pop(model, None)
        self.want_trials(model, meta["uid"], ())
        self.follow(model, None, None)
        self.follow_budget(model, None)
        self.strangers.forget(model)
        self._applier.forget(model)
        self.observer.children.forget(model)
        self.observer.forget(model)
        self._secrets.forget(model)
        self._keys.forget(model, meta["uid"])
