"""The pure half of a pass: what a model wishes, what should exist for it, and how it stands. No effects, no clock."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from smallmodel_operator.api.conditions import Reason
from smallmodel_operator.autoscaling import sleep
from smallmodel_operator.boundary import enforcement
from smallmodel_operator.control import concerns, granted, importance, quantized, scale, status
from smallmodel_operator.control.budget import created
from smallmodel_operator.core.external import external
from smallmodel_operator.core.facts import Object, Snapshot
from smallmodel_operator.core.money import text
from smallmodel_operator.core.outcome import NotYet, Refused
from smallmodel_operator.core.plan import Plan
from smallmodel_operator.cost import forecast
from smallmodel_operator.cost.report import settled
from smallmodel_operator.resolve import DEFAULT_IDLE_SECONDS, Resolved, Site, parse, resolve
from smallmodel_operator.serving import decide as serving
from smallmodel_operator.weights import decide as weights

RESYNC_SECONDS: Final = 600.0
"""At rest every model is compared with its plan this often, though nothing poked."""
GATEWAY_LOOK_SECONDS: Final = 1.0
"""While replicas answer and a gateway is about to route to them: it is the only thing that is waited for."""
NO_GATEWAY_LOOK_SECONDS: Final = 15.0
"""While there is no gateway, or none that speaks."""


@dataclass(frozen=True, slots=True)
class Wish:
    """A model understood as far as it can be: `resolved`, or the `hold` that says why not.

    `claims`, `artifact`, `secrets` and `config_maps` are what a snapshot has to be taken of. `node_selector` is set
    where the size of nodes decides whether the model fits; `asks_registry`, where a Job asks one for the weights;
    `asks` is whom it would ask.
    """

    resolved: Resolved | None
    profile: Object | None
    hold: Refused | None = None
    claims: tuple[str, ...] = ()
    artifact: str = ""
    secrets: tuple[str, ...] = ()
    config_maps: tuple[str, ...] = ()
    node_selector: Mapping[str, str] | None = None
    asks_registry: bool = False
    asks: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The status to report, and when to look again without a poke."""

    status: Mapping[str, Any]
    look_again_seconds: float
    refused: bool


def understand(body: Object, find_profile: Callable[[str], Object | None], site: Site) -> Wish:
    """Parse and resolve a model."""
    profile: Object | None = None
    try:
        model = parse(body)
        profile = find_profile(model.spec.compute.profile_ref.name)
        resolved = resolve(body, model, profile, site)
        request = quantized.request(resolved)
        return Wish(
            resolved,
            profile,
            claims=quantized.claims(resolved),
            artifact=weights.artifact(request),
            secrets=tuple(key.secret_ref.name for key in resolved.access.api_keys),
            config_maps=_config_maps(resolved),
            node_selector=None if resolved.memory_request or resolved.memory_limit else resolved.node_selector,
            asks_registry=weights.asks_registry(request),
            asks=weights.asks(request),
        )
    except Refused as hold:
        return Wish(None, profile, hold)


def name_taken(name: str) -> Refused:
    """An older ModelRoute of the namespace has the model's name."""
    return Refused(
        Reason.NAME_TAKEN,
        f"ModelRoute {name!r} of this namespace is older and has this name: both are addressed as `model: {name}`. "
        "Rename one of the two.",
        recheck_seconds=15,
    )


def _config_maps(resolved: Resolved) -> tuple[str, ...]:
    golden, text = resolved.checks.golden, importance.config_map(resolved)
    named = (golden.config_map_ref.name if golden else "", text)
    return tuple(dict.fromkeys(filter(None, named)))


def decide(body: Object, wish: Wish, snapshot: Snapshot, site: Site) -> concerns.Decision:
    """What should exist now. A wish that is not understood changes nothing, but off is off and closed is closed."""
    if wish.resolved is not None:
        return concerns.decide(wish.resolved, snapshot)
    meta, gate = body["metadata"], enforcement.gate(snapshot.boundary)
    is_closed = concerns.closed(gate)
    if wanted(body)[1] is None and not is_closed:
        return concerns.Decision(Plan.of((), prune=False), wish.hold)
    off = concerns.switched_off(meta["name"], meta["namespace"], site)
    return concerns.Decision(Plan.of([off]), gate if is_closed and wanted(body)[1] is None else wish.hold)


def judge(body: Object, snapshot: Snapshot, plan: Plan, hold: status.Hold, outage: str = "") -> Verdict:
    """How the model stands, from what is seen after the plan was applied as far as `hold` let it."""
    name = body["metadata"]["name"]
    request, off = wanted(body)
    now = scale.count(name, request, snapshot)
    if now.refused and off is None:
        off = Reason.BUDGET_EXHAUSTED
    why_none = Reason.ASLEEP if now.asleep else off
    part, replicas, trouble = serving.observe(name, now.replicas, why_none, snapshot)
    waits = now.asleep and granted.waits(snapshot)
    trouble = granted.trouble(trouble, waits, snapshot)
    stopped = snapshot.boundary.stopped
    routable = status.routable(off, snapshot.traffic, stopped, held=off is not None and _held(body))
    cost = settled(snapshot.previous_status.get("cost"), _expected(body, snapshot), snapshot.now)
    outcome = status.Outcome(
        name=name,
        generation=body["metadata"].get("generation", 0),
        off=off,
        count=replicas,
        reports=(*plan.reports, *part.reports, routable),
        asleep=now.asleep and not waits,
        waking=now.waking,
        stopped=stopped,
        hold=hold,
        problem=next(iter(plan.problems), None),
        trouble=trouble,
        outage=outage,
        fields={**plan.status, "cost": cost},
    )
    looks = [RESYNC_SECONDS, plan.look_again_seconds, part.look_again_seconds]
    if routable.status is not True and off is None and not stopped and (replicas.available or now.asleep):
        looks.append(GATEWAY_LOOK_SECONDS if routable.reason is Reason.GATEWAY_SYNCING else NO_GATEWAY_LOOK_SECONDS)
    if isinstance(hold, NotYet):
        looks.append(hold.after_seconds)
    elif isinstance(hold, Refused):
        looks.append(hold.recheck_seconds)
    return Verdict(
        status=status.summarise(outcome, snapshot.previous_status, snapshot.now),
        look_again_seconds=min(x for x in looks if x is not None),
        refused=isinstance(hold, Refused),
    )


def _expected(body: Object, snapshot: Snapshot) -> Mapping[str, Any] | None:
    """What it has cost, and what the month will come to."""
    if not snapshot.cost:
        return snapshot.cost
    end = forecast.month_end(Decimal(snapshot.cost["monthToDate"]), snapshot.now, created(body, snapshot.now))
    return {**snapshot.cost, **({"monthEnd": text(end)} if end is not None else {})}


def _held(body: Object) -> bool:
    """At 0, do the gateways hold requests for who scales it from outside?"""
    spec = body.get("spec") or {}
    return external(body) is not None and not spec.get("suspend")


def wanted(body: Object) -> tuple[sleep.SleepRequest, Reason | None]:
    """Replicas wished for, and why none: read from the object itself, for a wish that is refused has them too."""
    spec = body.get("spec") or {}
    scaling = spec.get("scaling") or {}
    suspended = bool(spec.get("suspend"))
    count = 0 if suspended else int(spec.get("replicas", 1))
    idle = float(scaling.get("idleSeconds") or DEFAULT_IDLE_SECONDS)
    limits = None
    if scaling.get("mode") == "Objective":
        least = max(1, int(scaling.get("minReplicas") or 1))
        limits = (least, max(least, int(scaling.get("maxReplicas") or least)))
    request = sleep.SleepRequest(count, scaling.get("minReplicas") == 0, idle, limits, external(body))
    if count:
        return request, None
    return request, Reason.SUSPENDED if suspended else Reason.SCALED_TO_ZERO
