"""What is said of a route's budgets, from what gateways wrote."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from tests.fakes.apiserver import FakeApiServer
from tests.fakes.clock import Clock

from smallmodel_operator.api.conditions import Reason
from smallmodel_operator.budget import text
from smallmodel_operator.budget.counter import Counter, Unit
from smallmodel_operator.budget.limit import Limit, Per
from smallmodel_operator.budget.places import place
from smallmodel_operator.budget.price import trillionths
from smallmodel_operator.budget.register import Register, Share
from smallmodel_operator.budget.window import Period, Window
from smallmodel_operator.cluster.budgets import ENTRY
from smallmodel_operator.control.route.budgeted import READ_SECONDS, Budgets, judge

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
ROUTE = "support/desk"
MONTH = Limit(Per.ROUTE, Period.MONTH, Unit.TOKENS, 1000, 80)
TODAY = Limit(Per.CALLER, Period.DAY, Unit.REQUESTS, 50)


def counted(limit: Limit, *used: int, caller: str = "", route: str = ROUTE) -> Register:
    shares = {f"gateway-{n}": Share(amount + 5, amount) for n, amount in enumerate(used)}
    return Register({name: "j" for name in shares}, {limit.counter(route, caller, NOW): shares})


@pytest.mark.parametrize(
    ("used", "status", "reason", "said"),
    [
        ((), True, Reason.BUDGET_LEFT, 0),
        ((30, 19), True, Reason.BUDGET_LEFT, 0),
        ((400, 399), True, Reason.BUDGET_LEFT, 750),
        ((400, 400), True, Reason.BUDGET_LOW, 800),
        ((999,), True, Reason.BUDGET_LOW, 950),
        ((700, 300), False, Reason.BUDGET_EXHAUSTED, 1000),
        ((900, 300), False, Reason.BUDGET_EXHAUSTED, 1000),
    ],
)
def test_a_budget_of_the_route(used: tuple[int, ...], status: bool, reason: Reason, said: int) -> None:
    found = judge(ROUTE, (MONTH,), counted(MONTH, *used), NOW)
    assert (found.report.status, found.report.reason) == (status, reason)
    of_it = {"per": "Route", "period": "Month", "unit": "Tokens", "window": "2026-11", "limit": 1000, "used": said}
    assert found.status == {"budgets": [of_it]}


def test_a_budget_of_each_caller() -> None:
    one, other = counted(TODAY, 50, caller="sa:crm/a"), counted(TODAY, 10, 15, caller="sa:crm/b")
    found = judge(ROUTE, (TODAY,), Register({}, {**one.counters, **other.counters}), NOW)
    assert (found.report.status, found.report.reason) == (True, Reason.CALLERS_EXHAUSTED)
    assert found.report.message.startswith("1 caller(s) have used up their budget (50 requests of each caller for")
    assert (found.status["budgets"][0]["used"], found.status["budgets"][0]["usedUpBy"]) == (50, 1)
    assert "sa:crm" not in str(found), "who it is, the gateways know"


def test_what_is_lost_counts_and_other_windows_and_routes_do_not() -> None:
    lost = Register({}, {MONTH.counter(ROUTE, "", NOW): {"gateway-0": Share(lost=1000)}})
    assert judge(ROUTE, (MONTH,), lost, NOW).report.reason is Reason.BUDGET_EXHAUSTED
    before = Register({}, {Counter(ROUTE, Unit.TOKENS, Window("2026-10")): {"gateway-0": Share(1000, 1000)}})
    assert judge(ROUTE, (MONTH,), before, NOW).report.reason is Reason.BUDGET_LEFT
    assert judge(ROUTE, (MONTH,), counted(MONTH, 1000, route="crm/desk"), NOW).report.reason is Reason.BUDGET_LEFT


async def test_a_register_is_read_once_for_a_while_and_a_missing_one_is_said(api: FakeApiServer) -> None:
    clock = Clock()
    budgets = Budgets(api.client(None), "smallmodel-system", clock)
    assert await budgets.look(ROUTE, (), NOW) is None
    assert not api.sent
    gone = await budgets.look(ROUTE, (MONTH,), NOW)
    assert gone is not None
    assert (gone.report.status, gone.report.reason, gone.status) == (None, Reason.BUDGET_UNKNOWN, {})
    assert f"ConfigMap smallmodel-system/{place(ROUTE)} is missing" in gone.report.message
    meta = {"name": place(ROUTE), "namespace": "smallmodel-system"}
    data = {ENTRY: text.write(counted(MONTH, 1000))}
    api.put({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data})
    asked = len(api.sent)
    again = await budgets.look(ROUTE, (MONTH,), NOW)
    assert again is not None
    assert (again.report.reason, len(api.sent)) == (Reason.BUDGET_UNKNOWN, asked)
    shown: list[tuple[str, int]] = []
    budgets.observe = lambda route, standings: shown.append((route, sum(one.used for one in standings)))
    clock.forward(READ_SECONDS)
    found = await budgets.look(ROUTE, (MONTH,), NOW)
    assert found is not None
    assert found.report.reason is Reason.BUDGET_EXHAUSTED
    budgets.forget(ROUTE)
    assert shown == [(ROUTE, 1000), (ROUTE, 0)]


def test_a_budget_of_money_is_said_in_its_currency() -> None:
    euros = Limit(Per.ROUTE, Period.MONTH, Unit.MONEY, trillionths("0.000123"), 80, currency="EUR")
    found = judge(ROUTE, (euros,), counted(euros, euros.most - 1), NOW)
    of_it = {"per": "Route", "period": "Month", "unit": "Money", "window": "2026-11", "limit": 123, "used": 116}
    assert found.status == {"budgets": [{**of_it, "currency": "EUR"}]}
    assert found.report.message == "At least 80 % of a budget (0.000123 EUR of the route for 2026-11) is used."
    found = judge(ROUTE, (euros,), counted(euros, euros.most), NOW)
    assert found.report.reason is Reason.BUDGET_EXHAUSTED
    assert "is used up: requests that would leave get 429 until it ends" in found.report.message
    dollars = replace(euros, currency="USD")
    assert judge(ROUTE, (dollars,), counted(euros, euros.most), NOW).report.reason is Reason.BUDGET_LEFT
