"""The pure half of a pass: what a model wishes, what should exist for it, and how it stands. No effects, no clock."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from smallmodel_operator.api.conditions import Reason
from smallmodel_operator.control import concerns, status
from smallmodel_operator.core.facts import Object, Snapshot
from smallmodel_operator.core.outcome import NotYet, Refused
from smallmodel_operator.core.plan import Plan
from smallmodel_operator.resolve import Resolved, Site, parse, resolve
from smallmodel_operator.serving import decide as serving
from smallmodel_operator.weights import decide as weights

RESYNC_SECONDS: Final = 600.0
"""At rest every model is compared with its plan this often, though nothing poked."""


@dataclass(frozen=True, slots=True)
class Wish:
    """A model understood as far as it can be: `resolved`, or the `hold` that says why not.

    `claims` and `artifact` are what a snapshot has to be taken of.
    """

    resolved: Resolved | None
    profile: Object | None
    hold: Refused | None = None
    claims: tuple[str, ...] = ()
    artifact: str = ""


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
        request = concerns.weights_request(resolved)
        return Wish(resolved, profile, claims=tuple(weights.claims(request)), artifact=weights.artifact(request))
    except Refused as hold:
        return Wish(None, profile, hold)


def decide(body: Object, wish: Wish, snapshot: Snapshot, site: Site) -> concerns.Decision:
    """What should exist now. A wish that is not understood changes nothing, but off is off."""
    if wish.resolved is not None:
        return concerns.decide(wish.resolved, snapshot)
    meta = body["metadata"]
    if wanted(body, None)[0]:
        return concerns.Decision(Plan.of((), prune=False), wish.hold)
    off = concerns.switched_off(meta["name"], meta["namespace"], site.gateway_namespace)
    return concerns.Decision(Plan.of([off]), wish.hold)


def judge(
    body: Object, snapshot: Snapshot, resolved: Resolved | None, plan: Plan, hold: status.Hold, outage: str = ""
) -> Verdict:
    """How the model stands, from what is seen after the plan was applied as far as `hold` let it."""
    name = body["metadata"]["name"]
    count, off = wanted(body, resolved)
    part, replicas, trouble = serving.observe(name, count, off is Reason.SUSPENDED, snapshot)
    outcome = status.Outcome(
        name=name,
        generation=body["metadata"].get("generation", 0),
        off=off,
        count=replicas,
        reports=(*plan.reports, *part.reports),
        hold=hold,
        trouble=trouble,
        outage=outage,
        fields=plan.status,
    )
    looks = [RESYNC_SECONDS, plan.look_again_seconds, part.look_again_seconds]
    if isinstance(hold, NotYet):
        looks.append(hold.after_seconds)
    elif isinstance(hold, Refused):
        looks.append(hold.recheck_seconds)
    return Verdict(
        status=status.summarise(outcome, snapshot.previous_status, snapshot.now),
        look_again_seconds=min(x for x in looks if x is not None),
        refused=isinstance(hold, Refused),
    )


def wanted(body: Object, resolved: Resolved | None) -> tuple[int, Reason | None]:
    """Replicas wished for, and why none: also known when the rest of the wish was refused."""
    spec = body.get("spec") or {}
    suspended = bool(spec.get("suspend"))
    count = resolved.replicas if resolved else (0 if suspended else int(spec.get("replicas", 1)))
    if count:
        return count, None
    return 0, Reason.SUSPENDED if suspended else Reason.SCALED_TO_ZERO
