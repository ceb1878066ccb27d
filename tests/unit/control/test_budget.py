"""A cost objective: what it leaves of the limits, what is said of it, and who loses."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fakes import objects
from tests.unit.control.test_objective import ASKED, live, replicas, snapshot

from smallmodel_operator.api.conditions import Condition, Reason
from smallmodel_operator.control import budget, concerns, objective, scale, verdict
from smallmodel_operator.control.budget import RESERVE_SECONDS, Subject, judge
from smallmodel_operator.control.budgets import Budgets
from smallmodel_operator.core.budget import Budgeted, CostObjective, Spent
from smallmodel_operator.core.facts import Snapshot
from smallmodel_operator.core.scaling import Latency, Scaled, Standing
from smallmodel_operator.core.traffic import GatewayReport, Traffic
from smallmodel_operator.cost.tokens import Speed
from smallmodel_operator.resolve import Resolved, Site, parse, resolve

MONTH = datetime(2026, 11, 1, tzinfo=UTC)
MODEL = ("support", "bot")
PRICE = {"hourly": "0.50", "currency": "EUR"}


def asked(monthly: str | None = "360", action: str = "Cap", *, prefer_cost: bool = True, **more: Any) -> CostObjective:
    return CostObjective("EUR", more.get("per_million"), Decimal(monthly) if monthly else None, action, prefer_cost)


def of(cost: CostObjective, **more: Any) -> Subject:
    values: dict[str, Any] = {"uid": "u", "cost": cost, "least": 2, "most": 8, "created": MONTH - timedelta(days=40)}
    return Subject(**{**values, **more})


def spent(amount: str, **more: Any) -> Spent:
    return Spent(**{"amount": Decimal(amount), "hourly": Decimal("0.50"), **more})


def day(number: float) -> datetime:
    return MONTH + timedelta(days=number)


# -- the limits ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "prefer_cost", "amount", "limits"),
    [
        ("Cap", True, "120", (2, 8)),     # a third of the money after a third of the month buys twice one replica
        ("Cap", True, "180", (1, 1)),     # half of it: what is left pays for less than one
        ("ShrinkFloor", False, "180", (1, 8)),
        ("Warn", False, "180", (2, 8)),
        ("Refuse", False, "180", (1, 8)),
        ("Refuse", True, "180", (1, 1)),
    ],
)  # fmt: skip
def test_the_ladder_while_money_is_left(action: str, prefer_cost: bool, amount: str, limits: tuple[int, int]) -> None:
    found = judge(of(asked("360", action, prefer_cost=prefer_cost)), spent(amount), day(10))
    if amount == "120":
        assert found.most == 2
    else:
        assert (found.least, found.most) == limits
    assert not found.exhausted


@pytest.mark.parametrize(
    ("action", "exhausted", "refuse"),
    [("Warn", False, False), ("ShrinkFloor", False, False), ("Cap", False, False), ("Sleep", True, False),
     ("Refuse", True, True)],
)  # fmt: skip
def test_with_nothing_left(action: str, exhausted: bool, refuse: bool) -> None:
    found = judge(of(asked("360", action, prefer_cost=action == "Cap")), spent("360"), day(20))
    assert (found.exhausted, found.refuse) == (exhausted, refuse)
    assert found.report.status is False
    assert found.report.reason is (Reason.BUDGET_EXHAUSTED if exhausted else Reason.BUDGET_AT_RISK)
    if action == "Cap":
        assert found.most == 1, "one stays: Cap is no hard budget"


def test_what_is_kept_back_is_what_all_replicas_cost_until_they_are_gone() -> None:
    subject = of(asked("360", "Refuse"))
    kept_back = 8 * 0.5 * RESERVE_SECONDS / 3600
    assert not judge(subject, spent(f"{360 - kept_back - 0.01:.4f}"), day(29)).exhausted
    assert judge(subject, spent(f"{360 - kept_back + 0.01:.4f}"), day(29)).exhausted


def test_a_ledger_that_is_not_read_gives_nobody_money_back_and_a_new_month_does() -> None:
    subject = of(asked("360", "Refuse"))
    over = judge(subject, spent("360"), day(20))
    silent = judge(subject, None, day(20.1), over)
    assert (silent.exhausted, silent.report.reason) == (True, Reason.SPEND_PENDING)
    assert not judge(subject, spent("0"), day(30.01), over).exhausted
    assert judge(subject, None, day(20)).most == 8, "nothing is known, nothing was decided"


def test_a_pace_that_is_just_kept_goes_not_to_and_fro() -> None:
    """Behind, one replica; a moment ahead, two: more again only when it is well ahead."""
    subject, said = of(asked("360"), least=1), None
    seen = []
    for step in range(2000):
        now = day(10) + timedelta(minutes=step)
        even = 360 * (10 * 1440 + step) / (30 * 1440)
        said = judge(subject, spent(f"{even + (0.02 if step % 2 else -0.02):.4f}"), now, said)
        seen.append((said.most, said.report.reason))
    assert len(set(seen[5:])) == 1, set(seen)


def test_tokens_of_late_pay_for_so_many_where_money_goes_first() -> None:
    cost = asked(None, "Cap", per_million=Decimal("1.00"))
    rich = spent("10", prompt=20_000_000, tokens_per_hour=2_000_000.0)
    assert judge(of(cost), rich, day(5)).most == 4
    assert judge(of(cost), replace(rich, tokens_per_hour=1.0), day(5)).most == 1
    assert judge(of(cost), replace(rich, tokens_per_hour=None), day(5)).most == 8, "not known takes nothing away"
    latency = replace(cost, prefer_cost=False, action="Warn")
    assert judge(of(latency), replace(rich, tokens_per_hour=1.0), day(5)).most == 8


# -- what is said ----------------------------------------------------------------------------------------------


def test_how_it_stands() -> None:
    cost = asked("360", per_million=Decimal("0.80"))
    cheap = {"prompt": 300_000_000, "generated": 0}
    for amount, more, status, reason in (
        ("100", cheap, True, Reason.WITHIN_COST),
        ("130", cheap, False, Reason.BUDGET_AT_RISK),
        ("100", {}, None, Reason.FEW_TOKENS),
        ("100", {"prompt": 50_000_000}, False, Reason.TOKENS_TOO_DEAR),
    ):
        report = judge(of(cost), spent(amount, **more), day(10)).report
        assert (report.condition, report.status, report.reason) == (Condition.COST_OBJECTIVE_MET, status, reason)
    assert "2.0000 EUR" in report.message
    at_risk = judge(of(cost), spent("130", **cheap), day(10)).report.message
    assert "130.00 of 360 EUR spent, 390.00 expected at the end of the month" in at_risk


def test_a_price_no_replica_can_come_to_is_said_with_the_nearest() -> None:
    """0.50 an hour at 100 tokens a second is 1.39 for a million, always busy."""
    slow = of(asked("360", per_million=Decimal("0.80")), speed=Speed(Decimal(100), Decimal(20)))
    report = judge(slow, spent("1"), day(1)).report
    assert report.reason is Reason.COST_INFEASIBLE
    assert "comes to 1.3889" in report.message
    mixed = judge(slow, spent("1", prompt=500, generated=500), day(1)).report.message
    assert "comes to 4.1667" in mixed
    assert "50 % of its tokens generated" in mixed
    fast = replace(slow, speed=Speed(Decimal(1000), Decimal(20)))
    assert judge(fast, spent("1"), day(1)).report.reason is Reason.FEW_TOKENS


# -- what a pass makes of it -----------------------------------------------------------------------------------

COST = {"monthlyBudget": "360", "currency": "EUR", "onExceeded": "Cap"}


def resolved(profile: dict[str, Any] | None = None, **scaling: Any) -> Resolved:
    objectives = {**ASKED["objectives"], "cost": COST, "prefer": "Cost"}  # type: ignore[dict-item]
    body = objects.model(scaling={**ASKED, **scaling, "objectives": objectives}, engine={"parallelSlots": 1})
    return resolve(body, parse(body), profile or objects.profile(price=PRICE), Site())


def said(least: int = 1, most: int = 2, *, exhausted: bool = False, refuse: bool = False) -> Budgeted:
    subject = of(asked("360", "Refuse" if exhausted else "Cap"))
    report = judge(subject, spent("360" if exhausted else "180"), day(10)).report
    return Budgeted(least, most, exhausted, refuse, "" if most > 3 else f"the budget pays for {most}", report)


def seen(found: Budgeted | None, runs: int = 3, wish: int = 4, **more: Any) -> Snapshot:
    missed = Standing(Latency.FIRST_TOKEN, 71.0, met=False)
    asks = Scaled(wish, f"{wish} because", standings=(missed,))
    values: dict[str, Any] = {"profile": objects.profile(price=PRICE), "children": live(runs, runs), "scaled": asks}
    return snapshot(**{**values, "budget": found, **more})


def reports(model: Resolved, at: Snapshot) -> dict[Condition, Any]:
    made = budget.part(model, objective.part(model, False, at), at).reports
    return {r.condition: r for r in made}


def test_the_limit_of_the_budget_goes_before_the_wish_and_the_loser_is_told() -> None:
    at = seen(said(1, 2))
    made = concerns.decide(resolved(), at)
    assert replicas(made) == 2
    assert "the budget pays for 2" in made.plan.status["scaling"]["why"]
    told = reports(resolved(), at)
    active = told[Condition.SCALING_ACTIVE]
    assert (active.status, active.reason) == (True, Reason.BUDGET_LIMITED)
    assert "of the 4 replicas that latency asks for (`prefer: Cost`)" in told[Condition.LATENCY_OBJECTIVE_MET].message
    assert told[Condition.COST_OBJECTIVE_MET].status is False


def test_the_controller_is_given_the_floor_of_the_budget() -> None:
    model = resolved(minReplicas=2)
    subject = objective.subject(model, seen(said(1, 2)))
    assert subject is not None
    assert (subject.objective.least, subject.objective.most) == (1, 4)


def test_nothing_left_ends_it_when_the_last_answer_is_complete() -> None:
    busy = Traffic((GatewayReport("g", 0.1, True, in_flight=1),))
    idle = Traffic((GatewayReport("g", 0.1, True, idle=0.5),))
    model = objects.model(scaling=_scaling(), engine={"parallelSlots": 1})
    request, _ = verdict.wanted(model)
    for refuse in (False, True):
        over = said(exhausted=True, refuse=refuse)
        waits = scale.count("bot", request, seen(over, traffic=busy))
        assert (waits.replicas > 0, waits.refused) == (True, refuse)
        assert waits.look_again_seconds
        gone = scale.count("bot", request, seen(over, traffic=idle))
        assert (gone.replicas, gone.refused) == (0, True)
        silent = scale.count("bot", request, seen(over, traffic=Traffic((GatewayReport("g", 60.0, True),))))
        assert silent.replicas > 0, "who does not say may carry an answer"
    status = verdict.judge(model, seen(over, traffic=idle), concerns.Plan.of(()), None).status
    ready = next(c for c in status["conditions"] if c["type"] == "Ready")
    assert (ready["status"], ready["reason"]) == ("False", "BudgetExhausted")
    assert "monthlyBudget" in ready["message"]


def _scaling() -> dict[str, Any]:
    objectives = {**ASKED["objectives"], "cost": {**COST, "onExceeded": "Refuse"}}  # type: ignore[dict-item]
    return {**ASKED, "objectives": objectives}


@pytest.mark.parametrize(
    ("price", "reason", "words"),
    [(None, Reason.PRICE_MISSING, "Set its `spec.price`"),
     ({"hourly": "1", "currency": "USD"}, Reason.CURRENCY_MISMATCH, "priced in USD")],
)  # fmt: skip
def test_what_cannot_be_held_is_said_and_needs_somebody(price: Any, reason: Reason, words: str) -> None:
    profile = objects.profile(**({"price": price} if price else {}))
    model, at = resolved(profile), seen(None, profile=profile)
    made = budget.part(model, objective.part(model, False, at), at)
    assert [p.reason for p in made.problems] == [reason]
    found = {r.condition: r for r in made.reports}[Condition.COST_OBJECTIVE_MET]
    assert (found.status, found.reason) == (None, reason)
    assert words in found.message
    assert budget.subject(model, objects.model(), at) is None


# -- who keeps the words ---------------------------------------------------------------------------------------


def test_only_news_pokes() -> None:
    ledger: dict[str, Spent | None] = {"bot": None}
    poked: list[Any] = []
    clock = [day(10)]
    budgets = Budgets(lambda model, _: ledger[model[1]], poked.append, lambda: clock[0])
    budgets.follow(MODEL, of(asked("360", "Refuse")))
    assert poked == [MODEL]
    for minute in range(60):
        clock[0] = day(10) + timedelta(minutes=minute)
        ledger["bot"] = spent(f"{100 + minute / 100:.2f}")
        budgets.look()
    assert len(poked) == 2, "once pending, once within"
    ledger["bot"] = spent("360")
    budgets.look()
    assert len(poked) == 3
    found = budgets.said(MODEL)
    assert found is not None
    assert found.refuse
    budgets.follow(MODEL, None)
    assert budgets.said(MODEL) is None


@given(
    st.lists(st.integers(0, 8), min_size=1, max_size=400),
    st.integers(20, 400),
    st.booleans(),
    st.integers(0, 4),
)
def test_a_hard_budget_is_never_exceeded_by_more_than_one_reservation(
    wishes: list[int], money: int, prefer_cost: bool, drain: int
) -> None:
    """Looks every 30 s, whatever latency asks for, and answers that take up to two minutes to run out."""
    subject, said = of(asked(str(money), "Refuse", prefer_cost=prefer_cost), least=1), None
    cost, running, draining, now = Decimal(0), 1, 0, day(0)
    hourly, look = Decimal("0.50"), Decimal(30)
    for step in range(24 * 120 * 29 // 60):
        wish = wishes[step % len(wishes)]
        said = judge(subject, spent(f"{cost:f}"), now, said)
        if said.exhausted and not running:
            break
        if said.exhausted:
            draining += 1
            running = running if draining <= drain else 0
        else:
            running = min(max(wish, said.least), said.most)
        # Half an hour passes in a step while there is plenty, a look's time near the end.
        left = Decimal(money) - cost
        length = look if left < 8 else look * 60
        cost += running * hourly * length / 3600
        now += timedelta(seconds=float(length))
        if now >= day(30):
            break
    reservation = subject.most * hourly * Decimal(RESERVE_SECONDS) / 3600
    assert cost <= money + reservation


def test_used_up_stays_used_up_over_a_restart() -> None:
    """Until the ledger is read nobody knows better, and a replica that is woken by a restart costs money."""
    ready = {"type": "Ready", "status": "False", "reason": "BudgetExhausted"}
    at = seen(None, runs=0, previous_status={"conditions": [ready]})
    kept = budget.remembered(resolved(), at)
    assert kept is not None
    assert kept.exhausted
    assert replicas(concerns.decide(resolved(), replace(at, budget=kept))) == 0
    subject = budget.subject(resolved(), objects.model(), replace(at, budget=kept))
    assert subject is not None
    budgets = Budgets(lambda *_: None, lambda _: None, lambda: day(3))
    budgets.follow(MODEL, subject)
    found = budgets.said(MODEL)
    assert found is not None
    assert found.exhausted
    assert budget.remembered(replace(resolved(), cost=None), at) is None, "its owner took the budget away"
    assert budget.remembered(resolved(), seen(None)) is None
