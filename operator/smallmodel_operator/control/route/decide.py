"""What should exist for a route, and how it stands. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from smallmodel_operator.api.conditions import Condition, Reason, Report
from smallmodel_operator.api.names import route_labels
from smallmodel_operator.control import keys, status
from smallmodel_operator.control.route.budgeted import LOOK_SECONDS as BUDGET_SECONDS
from smallmodel_operator.control.route.budgeted import Budgeted
from smallmodel_operator.control.route.classified import Classified
from smallmodel_operator.control.route.outside import Found
from smallmodel_operator.control.route.resolve import Adapted, Route, Target
from smallmodel_operator.control.verdict import (
    GATEWAY_LOOK_SECONDS,
    NO_GATEWAY_LOOK_SECONDS,
    RESYNC_SECONDS,
    Verdict,
)
from smallmodel_operator.core.facts import Object, Snapshot
from smallmodel_operator.core.outcome import NotYet, Refused
from smallmodel_operator.core.plan import Part, Plan
from smallmodel_operator.core.routes import Served, route_has_name
from smallmodel_operator.serving import build

Hold = Refused | NotYet | None
Models = Mapping[tuple[str, str], Served | None]
"""SmallModels by (namespace, name): the targets', and that of the route's own name."""
NOTHING: Final = Found()
_AS_DECLARED: Final = {Reason.SUSPENDED, Reason.SCALED_TO_ZERO}
"""Why a target may be not Ready with nobody working on it."""
_STATUS: Final = {"True": True, "False": False}


@dataclass(frozen=True, slots=True)
class Decision:
    """A plan, and what keeps the wish from taking effect."""

    plan: Plan
    hold: Hold = None


def decide(
    route: Route,
    snapshot: Snapshot,
    models: Models,
    classified: Classified | None = None,
    outside: Found = NOTHING,
    budgeted: Budgeted | None = None,
) -> Decision:
    """The route's address and keys; nothing where a SmallModel has the name. `classified`, `budgeted`: None without."""
    rival = models.get((route.namespace, route.name))
    if rival is not None and not route_has_name(route.created, rival.created):
        return Decision(Plan.of(()), _name_taken(route.name))
    opened = keys.decide(route, snapshot, route=True)
    problems = [found for target in route.targets if (found := problem(route, target, models.get(target.key)))]
    problems += [found for rule in route.adapted if (found := _unadapted(rule, route, models))]
    if classified and classified.problem:
        problems.append(classified.problem)
    part = Part(
        objects=(build.address(route.name, route.namespace, route.site.gateway_host, route_labels(route.name)),),
        secrets=opened.secrets,
        keys=opened.keys,
        status={
            **opened.status,
            **(classified.status if classified else {}),
            **(budgeted.status if budgeted else {}),
            "endpoint": {"url": route.url, "model": route.name},
        },
        problems=(*opened.problems, *problems, *outside.problems),
        reports=tuple(r for r in (classified and classified.report, outside.report, budgeted and budgeted.report) if r),
        look_again_seconds=_sooner(
            opened.look_again_seconds,
            classified.look_again_seconds if classified else None,
            outside.look_again_seconds,
            BUDGET_SECONDS if budgeted else None,
        ),
    )
    return Decision(Plan.of([part]))


def _sooner(*seconds: float | None) -> float | None:
    return min((s for s in seconds if s is not None), default=None)


def _name_taken(name: str) -> Refused:
    return Refused(
        Reason.NAME_TAKEN,
        f"SmallModel {name!r} of this namespace has this name: both are addressed as `model: {name}`. Rename one of "
        "the two.",
        recheck_seconds=15,
    )


def problem(route: Route, target: Target, model: Served | None) -> Refused | None:
    """Why nobody but a person can make a target answer."""
    where = f"Target {target.name!r}: SmallModel {target.model!r} of namespace {target.namespace!r}"
    if model is None:
        text = (
            f"{where} does not exist, or not where this operator serves. Create it, or name another in `smallModelRef`."
        )
        return Refused(Reason.TARGET_NOT_FOUND, text)
    if not model.consents(target.namespace, route.namespace):
        text = (
            f"{where} does not let this route in: its owner has to add {route.namespace!r} to its "
            "`spec.access.namespaces`."
        )
        return Refused(Reason.TARGET_FORBIDDEN, text)
    return None


def _unadapted(rule: Adapted, route: Route, models: Models) -> Refused | None:
    """Why nobody can answer the requests a rule for an adapter is for. A model that is not there has its own word."""
    behind = {t.name: models.get(t.key) for t in route.targets if t.name in rule.targets}
    known = [name for name, model in behind.items() if model is not None]
    if len(known) < len(behind) or any(model and rule.adapter in model.adapters for model in behind.values()):
        return None
    return Refused(
        Reason.ADAPTER_NOT_DECLARED,
        f"Rule {rule.rule!r}: no model behind {', '.join(rule.targets)} has an adapter {rule.adapter!r}, so requests "
        f"for it are answered with 404. Add it to the model's `spec.adapters`, or correct `match.adapter`.",
    )


def judge(
    body: Object,
    route: Route | None,
    snapshot: Snapshot,
    models: Models,
    plan: Plan,
    hold: Hold,
    outage: str = "",
    outside: Found = NOTHING,
) -> Verdict:
    """How a route stands, from what is seen after the plan was applied as far as `hold` let it."""
    stopped = snapshot.boundary.stopped
    routable = status.routable(None, snapshot.traffic, stopped, what="route")
    ready = _ready(route, models, routable, hold, stopped)
    stalled = _stalled(plan, hold, outage)
    reconciling = _reconciling(ready, stalled, hold, outage, _waits(route, models))
    previous = snapshot.previous_status
    # In an outage nobody has looked for classifier, way out and budgets, and what was said of them stands.
    remembered = ("endpoint", "access", "targets", *(("classifier", "escalation", "budgets") if outage else ()))
    kept = {key: previous[key] for key in remembered if key in previous}
    summary, generation = (ready, reconciling, stalled), body["metadata"].get("generation", 0)
    found: dict[str, Any] = {
        **kept,
        **plan.status,
        **({"targets": _targets(route, models) + _outside(route, outside, previous)} if route else {}),
        **({"pending": why} if (why := status.pending(summary)) else {}),
        "observedGeneration": generation,
        "conditions": status.conditions(
            [*summary, routable, *(_said_before(previous) if outage else plan.reports)],
            previous.get("conditions") or [],
            generation,
            snapshot.now,
        ),
    }
    looks = [RESYNC_SECONDS, plan.look_again_seconds]
    if routable.status is not True and not stopped:
        looks.append(GATEWAY_LOOK_SECONDS if routable.reason is Reason.GATEWAY_SYNCING else NO_GATEWAY_LOOK_SECONDS)
    if hold is not None:
        looks.append(hold.after_seconds if isinstance(hold, NotYet) else hold.recheck_seconds)
    again = min(seconds for seconds in looks if seconds is not None)
    return Verdict(found, again, refused=isinstance(hold, Refused))


def _said_before(previous: Object) -> list[Report]:
    """The conditions of classifier, boundary and budgets."""
    kept = (Condition.CLASSIFIER_READY, Condition.BOUNDARY_ENFORCED, Condition.BUDGET_AVAILABLE)
    said = [c for c in previous.get("conditions") or () if c["type"] in kept]
    return [Report(Condition(c["type"]), _STATUS.get(c["status"]), Reason(c["reason"]), c["message"]) for c in said]


def _trouble(route: Route, target: Target, model: Served | None) -> tuple[Reason, str] | None:
    """Why a request to a target is not answered now."""
    if found := problem(route, target, model):
        return found.reason, found.message
    if model is None or model.ready:
        return None
    why = f"{model.reason}: {model.message}" if model.reason else "nothing is known of it yet"
    return Reason.TARGET_NOT_READY, f"Target {target.name!r} ({target.path}) does not answer. {why}"


def _closed(reason: Reason, model: Served | None) -> bool:
    """Does a gateway know at once that a target does not answer, rather than wait for it?"""
    if reason is not Reason.TARGET_NOT_READY or model is None:
        return True
    return model.reason in (*_AS_DECLARED, Reason.BUDGET_EXHAUSTED)


def _ready(route: Route | None, models: Models, routable: Report, hold: Hold, stopped: str) -> Report:
    """Ready means that a request that names no target is answered, whichever gets it."""
    ready = Condition.READY
    if hold is not None or route is None:
        reason, text = (hold.reason, hold.message) if hold else (Reason.RETRYING, "Not understood yet.")
        return Report(ready, False, reason, text)
    if stopped:
        return Report(ready, False, Reason.INFERENCE_STOPPED, status.sentence(stopped))
    troubles = [(t, why) for t in route.targets if (why := _trouble(route, t, models.get(t.key)))]
    answering = {target.name for target in route.targets} - {target.name for target, _ in troubles}
    for target, (reason, text) in troubles:
        if target.asked and not (_closed(reason, models.get(target.key)) and answering.intersection(route.instead)):
            return Report(ready, False, reason, text)
    if routable.status is False:
        return Report(ready, False, routable.reason, routable.message)
    text = f"{len(route.targets) - len(troubles)} of {len(route.targets)} target(s) answer."
    beside = "".join(f" {why}" for _, (_, why) in troubles)
    return Report(ready, True, Reason.SERVING, text + beside)


def _stalled(plan: Plan, hold: Hold, outage: str) -> Report:
    found = hold if isinstance(hold, Refused) else next(iter(plan.problems), None)
    if found is not None:
        meanwhile = f"{status.MEANWHILE}{outage}" if outage else ""
        return Report(Condition.STALLED, True, found.reason, f"{found.message}{meanwhile}")
    return Report(Condition.STALLED, False, Reason.SETTLED, "Nothing needs the user.")


def _reconciling(ready: Report, stalled: Report, hold: Hold, outage: str, waits: bool) -> Report:
    condition = Condition.RECONCILING
    if stalled.status:
        return Report(condition, False, Reason.SETTLED, "Waiting for the user, see Stalled.")
    if outage:
        return Report(condition, True, Reason.RETRYING, outage)
    if isinstance(hold, NotYet):
        return Report(condition, True, hold.reason, hold.message)
    if ready.status or ready.reason is Reason.INFERENCE_STOPPED:
        return Report(condition, False, Reason.SETTLED, "Everything is as declared.")
    if ready.reason is Reason.TARGET_NOT_READY and not waits:
        return Report(condition, False, Reason.SETTLED, "A target is switched off, as its owner declares.")
    return replace(ready, condition=condition, status=True)


def _waits(route: Route | None, models: Models) -> bool:
    """Is a target that gets requests on its way to answer, rather than off as its user wants it?"""
    found = [models.get(target.key) for target in route.targets if target.asked] if route else []
    return any(model and not model.ready and model.reason not in _AS_DECLARED for model in found)


def _targets(route: Route, models: Models) -> list[dict[str, Any]]:
    said = []
    for target in route.targets:
        model = models.get(target.key)
        trouble = problem(route, target, model)
        reason = trouble.reason.value if trouble else model.reason if model else ""
        ready = trouble is None and model is not None and model.ready
        said.append({"name": target.name, "model": target.path, "ready": ready, "reason": reason})
    return said


def _outside(route: Route, outside: Found, previous: Object) -> list[dict[str, Any]]:
    """Targets outside: as they were found, else as they were said to be."""
    names = {target.name for target in route.outside}
    before = [t for t in previous.get("targets") or () if t.get("name") in names]
    return [dict(target) for target in outside.targets or before]
