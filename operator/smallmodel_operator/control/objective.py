"""A model's objective: what its controller is asked, and how the objective stands. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from smallmodel_operator.api.conditions import Condition, Reason, Report
from smallmodel_operator.api.names import API_VERSION
from smallmodel_operator.autoscaling import measured, objective
from smallmodel_operator.autoscaling import tally as tallies
from smallmodel_operator.autoscaling.observation import Counters, Observation
from smallmodel_operator.autoscaling.profile import EngineProfile
from smallmodel_operator.autoscaling.wish import Wish, stands
from smallmodel_operator.calibration import decide as calibration
from smallmodel_operator.control import external, latency
from smallmodel_operator.core.facts import Snapshot
from smallmodel_operator.core.plan import Note, Part
from smallmodel_operator.core.scaling import Bounds, Latency, Objective, Scaled
from smallmodel_operator.core.traffic import Traffic
from smallmodel_operator.quantization.roofline import token_bytes, token_seconds
from smallmodel_operator.resolve import Resolved

SAY_SECONDS: Final = 60.0
"""What does not change replicas is said this seldom: a status that followed the traffic would never rest."""
LEAST_STUCK, STUCK_STARTS = 120.0, 10.0
"""A replica that has not come by then will not come soon (no node has room): it is not waited for."""
DECISIONS: Final = 5
"""So many of the last are kept in the status."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A model as its last pass saw it. `replicas` are those its Deployment asks for, `ready` those that answer."""

    uid: str
    objective: Objective
    profile: EngineProfile
    first_token: float
    """Seconds to the first token of a short prompt, as measured; 0 while it is not."""
    slots: int
    replicas: int
    ready: int
    start_seconds: float | None = None
    inter_token: float = 0.0
    """Seconds from one token to the next for one caller alone, as measured; 0 while it is not."""

    @property
    def alone(self) -> Bounds:
        return Bounds(self.first_token, self.inter_token, self.first_token)


@dataclass(frozen=True, slots=True)
class Held:
    """What is kept of a model between ticks."""

    state: objective.State = field(default_factory=objective.State)
    tally: tallies.Tally = field(default_factory=tallies.Tally)
    said: Scaled | None = None
    said_at: float = 0.0
    counts: tuple[int, int] = (0, 0)
    """Replicas asked for and ready, and since when it is these."""
    since: float = 0.0
    direction: int = 0
    at: float | None = None
    """Of the last look, where those who look say when it was."""
    needs: int = 0
    """Replicas at this moment; what is said lasts a little longer."""
    wish: Wish = field(default_factory=Wish)


def subject(resolved: Resolved, snapshot: Snapshot) -> Subject | None:
    """What its controller has to know of a model; None: it follows no objective, or there is nothing to scale now."""
    live = snapshot.child("Deployment", resolved.name)
    if resolved.objective is None or resolved.off or live is None:
        return None
    replicas = int(live.get("spec", {}).get("replicas", 1))
    if not replicas:
        return None
    known = snapshot.previous_status
    capacity = known.get("capacity") or {}
    wake = ((known.get("scaling") or {}).get("coldStart") or {}).get("totalMilliseconds", 0) / 1000
    start = wake or float(capacity.get("coldStartSeconds") or calibration.cold_start(snapshot))
    alone = measured.alone(capacity)
    return Subject(
        uid=resolved.uid,
        objective=_within(resolved.objective, snapshot),
        profile=measured.profile(capacity, resolved.parallel_slots, start),
        first_token=alone.first_token,
        slots=resolved.parallel_slots,
        replicas=replicas,
        ready=min(replicas, int(live.get("status", {}).get("availableReplicas") or 0)),
        start_seconds=start or None,
        inter_token=alone.inter_token,
    )


def _within(asked: Objective, snapshot: Snapshot) -> Objective:
    """With the floor that the budget leaves. What it takes from the top is taken from what the controller says."""
    return replace(asked, least=min(asked.least, snapshot.budget.least)) if snapshot.budget else asked


def look(of: Subject, traffic: Traffic, counters: Counters | None, now: float, stuck: bool) -> Observation:
    """What the controller is told. Held requests are in flight; those beyond the slots wait."""
    spoken = [r for r in (*traffic.reports, *traffic.leaving) if r.fresh]
    held = sum(r.held for r in spoken)
    passing = sum(r.in_flight for r in spoken)
    return Observation(
        at=now,
        ready=of.ready,
        starting=0 if stuck else of.replicas - of.ready,
        counters=counters,
        in_flight=passing + held,
        waiting=held + max(0, passing - of.ready * of.slots),
        start_seconds=of.start_seconds,
    )


def tick(held: Held, of: Subject, traffic: Traffic, now: float) -> Held:
    """One look at a model; `said` is what is to be had now. The same look again says nothing new."""
    if held.said is not None and traffic.complete and traffic.at is not None and traffic.at == held.at:
        return held
    counts = (of.replicas, of.ready)
    if counts != held.counts:
        held = replace(held, counts=counts, since=now)
    sums, counters = tallies.add(held.tally, traffic, of.objective.bounds)
    late = now - held.since > max(LEAST_STUCK, STUCK_STARTS * of.profile.start_seconds)
    at = now if traffic.at is None or counters is None else traffic.at
    seen = look(of, traffic, counters, at, stuck=late and of.ready < of.replicas and counters is not None)
    state, decided = objective.decide(held.state, seen, of.objective, of.profile)
    said, wish, old = _scaled(of, state, decided, traffic), held.wish, held.said
    needs = said.replicas
    if old is not None and old.known and said.known and stands(wish, needs, of.replicas, now):
        said = replace(said, replicas=old.replicas, exhausted=old.exhausted)
    else:
        wish = Wish(needs, of.replicas, now)
    looked = held.at if counters is None else traffic.at
    held = replace(held, state=state, tally=sums, at=looked, needs=needs, wish=wish)
    if old is not None and said.replicas == old.replicas:
        moved = (said.known, said.missing, said.exhausted, said.met) != (old.known, old.missing, old.exhausted, old.met)
        heard = said.known and not old.known
        due = heard or (moved and now - held.said_at >= SAY_SECONDS)
        return replace(held, said=_worded(said, decided, of, state), said_at=now) if due else held
    change = said.replicas - of.replicas
    direction = (change > 0) - (change < 0)
    said = _worded(said, decided, of, state)
    if direction and direction != held.direction:
        said = replace(said, turn=said.why)
    return replace(held, said=said, said_at=now, direction=direction or held.direction)


def gains(held: Held, of: Subject) -> tuple[float, ...]:
    """Misses a second that each replica avoids; empty until the controller has looked at the model once."""
    return objective.gains(held.state, of.objective, of.profile) if held.said else ()


def _scaled(of: Subject, state: objective.State, decided: objective.Decision, traffic: Traffic) -> Scaled:
    return Scaled(
        replicas=decided.replicas,
        why="",
        known=decided.known,
        exhausted=decided.exhausted,
        standings=latency.standings(of.objective, state.budgets),
        source=traffic.source,
        missing="" if decided.known else traffic.problem,
    )


def _worded(said: Scaled, decided: objective.Decision, of: Subject, state: objective.State) -> Scaled:
    """With its sentence and the tightest bounds that can be held: most looks say nothing new, and need neither."""
    found = dict(
        zip(Latency, measured.nearest(of.profile, state.belief, of.objective.percentile, of.alone), strict=True)
    )
    standings = tuple(replace(s, nearest=found[s.latency]) for s in said.standings)
    return replace(said, why=decided.why[:512], standings=standings)


# -- how it stands ---------------------------------------------------------------------------------------------


def part(resolved: Resolved, asleep: bool, snapshot: Snapshot) -> Part:
    """Conditions, the last decisions, and an event where the direction changed."""
    if resolved.external is not None and not resolved.suspended and snapshot.stranger is None:
        return Part(reports=(external.active(resolved, resolved.external, snapshot),))
    if resolved.off:
        return Part()
    if (other := snapshot.stranger) is not None:
        return Part(
            reports=(
                Report(
                    Condition.SCALING_ACTIVE,
                    False,
                    Reason.CONFLICTING_SCALER,
                    f"{other.by} sets replicas of Deployment {resolved.name} again and again, so they are left to it. "
                    + _instead(resolved),
                ),
            )
        )
    if resolved.objective is None:
        return Part()
    said = snapshot.scaled
    notes = (Note(reason="Scaled", message=f"Replicas: {said.turn}."),) if said and said.turn else ()
    reports = (_active(said, asleep), latency.report(resolved.objective, said, _alone(resolved, snapshot)))
    return Part(reports=reports, notes=notes)


def _instead(resolved: Resolved) -> str:
    found = f"(`kubectl -n {resolved.namespace} get hpa,scaledobjects`)"
    if resolved.external is None:
        return f"Remove what does {found}: they are decided by `spec.scaling`, and within 10 minutes they are again."
    kind = f"{{apiVersion: {API_VERSION}, kind: SmallModel, name: {resolved.name}}}"
    return f"Let it scale the SmallModel in place of the Deployment {found}: `scaleTargetRef: {kind}`."


def decisions(desired: int, why: str, snapshot: Snapshot) -> list[Mapping[str, Any]]:
    """The last changes, newest last; one is added when `desired` is another number than before."""
    before = snapshot.previous_status.get("scaling") or {}
    kept = list(before.get("decisions") or [])
    if before and before.get("desired", 0) == desired:
        return kept
    at = snapshot.now.strftime("%Y-%m-%dT%H:%M:%SZ")
    return [*kept, {"at": at, "replicas": desired, "why": why}][-DECISIONS:]


def _alone(resolved: Resolved, snapshot: Snapshot) -> Bounds:
    """What one request takes with a replica for itself, as measured; of a token, before that, what memory can give."""
    known = snapshot.previous_status
    found = measured.alone(known.get("capacity") or {})
    if found.inter_token:
        return found
    weights = known.get("weights") or {}
    sizes = (int(weights.get(name) or 0) for name in ("tensorBytes", "tokenEmbeddingBytes", "experts"))
    return found._replace(inter_token=token_seconds(token_bytes(*sizes), resolved.memory_bandwidth))


def _active(said: Scaled | None, asleep: bool) -> Report:
    kind = Condition.SCALING_ACTIVE
    if asleep:
        return Report(kind, True, Reason.ASLEEP, "Asleep: the next request wakes the model.")
    if said is None:
        return Report(kind, None, Reason.SIGNALS_PENDING, "The gateways have not been asked yet; what runs is kept.")
    if not said.known:
        return Report(kind, False, Reason.SIGNALS_MISSING, _missing(said))
    if said.exhausted:
        return Report(
            kind,
            True,
            Reason.REPLICAS_EXHAUSTED,
            "More replicas are needed than `spec.scaling.maxReplicas` allows; `status.scaling.why` has the numbers.",
        )
    by = f", by what {said.source} has scraped of the gateways" if said.source else ""
    return Report(kind, True, Reason.FOLLOWING, f"Replicas follow the objective{by}.")


def _missing(said: Scaled) -> str:
    unknown = "What comes and what came of it is not known, so what runs is kept"
    if said.missing:
        return f"{unknown}: {said.missing}."[:1024]
    who = f"{said.source} has not everything of every gateway" if said.source else "not every gateway says it"
    return f"{unknown}: {who}. `kubectl get pods -A -l app.kubernetes.io/component=gateway` shows them."
