"""How a cost objective stands, and what it leaves of a model's limits. Pure; the clock is passed in."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

from smallmodel_operator.api.conditions import Condition, Reason, Report
from smallmodel_operator.autoscaling.cap import Action, Capped, Spending, cap
from smallmodel_operator.control import spend, status
from smallmodel_operator.control.prices import hour_of
from smallmodel_operator.core.budget import Budgeted, CostObjective, Spent
from smallmodel_operator.core.facts import Object, Snapshot
from smallmodel_operator.core.money import BadCost, per_million, text
from smallmodel_operator.core.outcome import Refused
from smallmodel_operator.core.plan import Part
from smallmodel_operator.cost import forecast
from smallmodel_operator.cost.tokens import Speed
from smallmodel_operator.resolve import Resolved

ACTIONS: Final = {"".join(w.capitalize() for w in action.value.split("-")): action for action in Action}
RESERVE_SECONDS: Final = 120.0
"""A look at the ledger, a pass, and the answers that run out: what all replicas cost in it is kept back."""
MARGIN: Final = 0.01
"""Of the budget: by so much the pace has to be kept again before more replicas are allowed than a moment ago."""
FEW_TOKENS: Final = 10_000
_KIND: Final = Condition.COST_OBJECTIVE_MET


@dataclass(frozen=True, slots=True)
class Subject:
    """A model as its last pass saw it. `speed`: of a replica; None: not measured."""

    uid: str
    cost: CostObjective
    least: int
    most: int
    created: datetime
    speed: Speed | None = None
    kept: Budgeted | None = field(default=None, compare=False)
    """What held when it was first seen, which holds until the ledger was read."""


def subject(resolved: Resolved, body: Object, snapshot: Snapshot) -> Subject | None:
    """What its budget is judged by; None: it has no cost objective, is off, or what it asks for cannot be held."""
    limits = resolved.objective
    if resolved.cost is None or limits is None or resolved.off or problem(resolved, snapshot.profile):
        return None
    return Subject(
        uid=resolved.uid,
        cost=resolved.cost,
        least=limits.least,
        most=limits.most,
        created=created(body, snapshot.now),
        speed=spend.speed_of(snapshot.previous_status),
        kept=snapshot.budget,
    )


def remembered(resolved: Resolved | None, snapshot: Snapshot) -> Budgeted | None:
    """What the status says of a budget before the ledger was read, as after a restart: used up stays used up."""
    ready = status.find(snapshot.previous_status, Condition.READY)
    if resolved is None or resolved.cost is None or ready.get("reason") != Reason.BUDGET_EXHAUSTED:
        return None
    limits = resolved.objective
    if limits is None or problem(resolved, snapshot.profile):
        return None
    report = Report(_KIND, False, Reason.BUDGET_EXHAUSTED, status.BUDGET_EXHAUSTED)
    refuse = ACTIONS[resolved.cost.action] is Action.REFUSE
    return Budgeted(1, limits.most, True, refuse, "the budget is used up", report)


def created(body: Object, now: datetime) -> datetime:
    """When a model was made; now, where that cannot be read."""
    try:
        return datetime.fromisoformat(str(body["metadata"]["creationTimestamp"])).astimezone(UTC)
    except (KeyError, ValueError):
        return now


def problem(resolved: Resolved, profile: Object | None) -> Refused | None:
    """Why an objective cannot be held to at all: nobody says what the nodes cost, or in another currency."""
    if resolved.cost is None or profile is None:
        return None
    name, asked = profile["metadata"]["name"], resolved.cost.currency
    field = "`spec.scaling.objectives.cost`"
    try:
        price = hour_of(profile.get("spec") or {})
    except BadCost as error:
        return Refused(Reason.PRICE_MISSING, f"{field} cannot be held: ComputeProfile {name!r}: {error}")
    if price is None:
        return Refused(
            Reason.PRICE_MISSING,
            f"{field} cannot be held: ComputeProfile {name!r} does not say what its nodes cost. Set its `spec.price`, "
            "or remove the objective.",
        )
    if price.currency != asked:
        return Refused(
            Reason.CURRENCY_MISMATCH,
            f"{field}.currency is {asked}, but the nodes of ComputeProfile {name!r} are priced in {price.currency}, "
            f"and no exchange rate is assumed. Write the objective in {price.currency}.",
        )
    return None


# -- the judgement ---------------------------------------------------------------------------------------------


def judge(of: Subject, spent: Spent | None, now: datetime, before: Budgeted | None = None) -> Budgeted:
    """What the objective leaves of the limits, and how it stands."""
    free = Budgeted(of.least, of.most, False, False, "", Report(_KIND, None, Reason.SPEND_PENDING, _PENDING))
    if spent is None:
        # What was decided stays: a ledger that cannot be read now gives nobody money back.
        return replace(before, report=free.report) if before else free
    found = _limited(of, spent, now, before) if of.cost.monthly is not None else free
    found = _per_token(of, spent, found)
    return replace(found, report=_report(of, spent, now, found, before))


def _limited(of: Subject, spent: Spent, now: datetime, before: Budgeted | None) -> Budgeted:
    """By the monthly budget."""
    assert of.cost.monthly is not None
    action, budget = ACTIONS[of.cost.action], float(of.cost.monthly)
    hourly = float(spent.hourly or 0)
    kept_back = hourly * of.most * RESERVE_SECONDS / 3600 if action in (Action.SLEEP, Action.REFUSE) else 0.0
    elapsed, period = (t.total_seconds() for t in forecast.span(now, of.created))

    def at(more: float) -> Capped:
        used = float(spent.amount) + kept_back + more
        return cap(Spending(budget, used, elapsed, period, max(hourly, 1e-9)), action, of.least, of.most, 1)

    capped = at(0.0)
    gone = float(spent.amount) + kept_back >= budget
    if before is not None and not before.exhausted:  # else the limit of a pace that is just kept would go to and fro
        surely = at(MARGIN * budget)
        most = min(capped.most, max(before.most, surely.most))
        capped = replace(capped, most=most, least=min(capped.least, max(before.least, surely.least)))
    ends = gone and action in (Action.SLEEP, Action.REFUSE)
    most = capped.most if of.cost.prefer_cost else of.most
    binds = f"the budget pays for {most}" if most < of.most else ""
    return Budgeted(
        least=max(1, min(capped.least, most)),
        most=max(1, most),
        exhausted=ends,
        refuse=ends and action is Action.REFUSE,
        binds="the budget is used up" if ends else binds,
        report=Report(_KIND, None, Reason.SPEND_PENDING, _PENDING),
    )


def _per_token(of: Subject, spent: Spent, found: Budgeted) -> Budgeted:
    """By the price of a million tokens: no more replicas than the tokens of late pay for, one at least."""
    asked = of.cost.per_million
    if asked is None or not of.cost.prefer_cost or not spent.hourly or spent.tokens_per_hour is None:
        return found
    paid = max(1, int(float(asked) * spent.tokens_per_hour / 1e6 / float(spent.hourly)))
    if paid >= found.most:
        return found
    return replace(found, most=paid, least=min(found.least, paid), binds=f"tokens of the last hour pay for {paid}")


def _report(of: Subject, spent: Spent, now: datetime, found: Budgeted, before: Budgeted | None) -> Report:
    cost = of.cost
    was_at_risk = before is not None and before.report.reason is Reason.BUDGET_AT_RISK
    enough = Decimal(str(1 - MARGIN)) if was_at_risk else Decimal(1)
    if (nearest := _nearest(of, spent)) is not None:
        return Report(_KIND, False, Reason.COST_INFEASIBLE, nearest)
    if found.exhausted:
        return Report(_KIND, False, Reason.BUDGET_EXHAUSTED, _exhausted(of, spent, now, refuse=found.refuse))
    expected = forecast.month_end(spent.amount, now, of.created)
    if cost.monthly is not None and (spent.amount >= cost.monthly or (expected or 0) > cost.monthly * enough):
        return Report(_KIND, False, Reason.BUDGET_AT_RISK, _at_risk(of, spent, expected, found))
    each = spent.per_million
    if cost.per_million is not None and spent.prompt + spent.generated < FEW_TOKENS:
        few = f"Fewer than {FEW_TOKENS} tokens were counted this month for {_amount(cost.per_million, cost)} a million."
        return Report(_KIND, None, Reason.FEW_TOKENS, few)
    if cost.per_million is not None and each is not None and each > cost.per_million:
        return Report(_KIND, False, Reason.TOKENS_TOO_DEAR, _too_dear(of, spent, each))
    said = [f"{text(spent.amount)} of {_amount(cost.monthly, cost)} spent"] if cost.monthly is not None else []
    said += [f"{per_million(each)} {cost.currency} for a million tokens"] if cost.per_million and each else []
    return Report(_KIND, True, Reason.WITHIN_COST, f"{', '.join(said)}; `status.cost` has the numbers of now.")


def _nearest(of: Subject, spent: Spent) -> str | None:
    """What is wrong with a price of tokens that not even a replica that is always busy can come to."""
    if of.cost.per_million is None or of.speed is None or not spent.hourly:
        return None
    if tokens := spent.prompt + spent.generated:
        seconds = of.speed.seconds(Decimal(spent.prompt), Decimal(spent.generated)) / tokens
        mixed = f"with {100 * spent.generated / tokens:.0f} % of its tokens generated"
    else:
        seconds = 1 / max(of.speed.prefill, of.speed.decode)
        mixed = "whatever it is asked"
    best = spent.hourly * seconds * 1_000_000 / 3600
    if best <= of.cost.per_million:
        return None
    return (
        f"{_amount(of.cost.per_million, of.cost)} for a million tokens cannot be had: a replica that is always busy "
        f"comes to {per_million(best)}, at {text(spent.hourly, 4)} an hour and its measured speed, {mixed}. Set "
        "`maxPerMillionTokens` to more than that, or serve a smaller type, or a cheaper or faster profile."
    )


def _exhausted(of: Subject, spent: Spent, now: datetime, *, refuse: bool) -> str:
    end = forecast.month_of(now)[1]
    what = "new requests are refused" if refuse else "it sleeps, and requests are refused"
    return (
        f"{text(spent.amount)} of {_amount(of.cost.monthly, of.cost)} spent, and what {of.most} replica(s) cost in "
        f"{RESERVE_SECONDS:.0f} s is kept back: {what} until {end:%Y-%m-%d} (UTC). Raise "
        "`spec.scaling.objectives.cost.monthlyBudget`, or choose another `onExceeded`."
    )


def _at_risk(of: Subject, spent: Spent, expected: Decimal | None, found: Budgeted) -> str:
    cost = of.cost
    said = f"{text(spent.amount)} of {_amount(cost.monthly, cost)} spent"
    if expected is not None:
        said += f", {text(expected)} expected at the end of the month"
    if found.binds:
        return f"{said}: {found.binds}, and no more run (`prefer: Cost`)."
    if cost.prefer_cost:
        return f"{said}: the pace still allows {found.most}, and fewer as soon as it does not (`prefer: Cost`)."
    return (
        f"{said}: latency goes first (`prefer: Latency`), so no replicas are taken from it. `prefer: Cost` with "
        "`onExceeded: Cap` keeps the pace, a longer time to first token needs fewer."
    )


def _too_dear(of: Subject, spent: Spent, each: Decimal) -> str:
    paid = "`prefer: Cost` allows no more replicas than its tokens pay for"
    first = paid if of.cost.prefer_cost else "latency goes first (`prefer: Latency`)"
    return (
        f"A million tokens come to {per_million(each)} {of.cost.currency} this month, asked for is at most "
        f"{_amount(of.cost.per_million, of.cost)}: replicas are idle too much; {first}. `minReplicas: 0` lets it sleep."
    )


def _amount(amount: Decimal | None, cost: CostObjective) -> str:
    return f"{amount} {cost.currency}"


_PENDING: Final = "What it has cost is not known yet: the ledger is about to be read."


# -- what a pass makes of it -----------------------------------------------------------------------------------


def part(resolved: Resolved, follows: Part, snapshot: Snapshot) -> Part:
    """The objective's conditions beside those of latency; who loses is told so in the other's words, too."""
    if resolved.cost is None or resolved.off:
        return follows
    if wrong := problem(resolved, snapshot.profile):
        report = Report(_KIND, None, wrong.reason, wrong.message)
        return replace(follows, reports=(*follows.reports, report), problems=(*follows.problems, wrong))
    said = snapshot.budget
    if said is None:
        report = Report(_KIND, None, Reason.SPEND_PENDING, _PENDING)
        return replace(follows, reports=(*follows.reports, report))
    told = tuple(_loser(r, said, snapshot) for r in follows.reports)
    return replace(follows, reports=(*told, said.report))


def _loser(report: Report, said: Budgeted, snapshot: Snapshot) -> Report:
    wanted = snapshot.scaled.replicas if snapshot.scaled else None
    if said.exhausted and report.condition is Condition.SCALING_ACTIVE:
        return replace(report, status=False, reason=Reason.BUDGET_EXHAUSTED, message=said.report.message)
    if not said.binds or wanted is None or wanted <= said.most:
        return report
    words = f"{said.binds} of the {wanted} replicas that latency asks for (`prefer: Cost`)"
    if report.condition is Condition.SCALING_ACTIVE:
        return replace(report, reason=Reason.BUDGET_LIMITED, message=f"{words[:1].upper()}{words[1:]}.")
    if report.condition is Condition.LATENCY_OBJECTIVE_MET and report.status is False:
        return replace(report, message=f"{report.message} {words[:1].upper()}{words[1:]}.")
    return report
