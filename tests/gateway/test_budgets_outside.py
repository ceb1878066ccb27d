"""A budget of what leaves, through both Envoys: over it nothing leaves any more, and what stays inside is answered."""

import json
from dataclasses import astuple, replace
from pathlib import Path
from typing import Any, Final, cast

import pytest
from tests.fakes.upstream import USAGE
from tests.gateway.counted import Counted
from tests.gateway.outward import CHAT, MASTER, Outward, outward, route

from smallmodel_operator.boundary.passes import LEAD_MS
from smallmodel_operator.budget.counter import Unit
from smallmodel_operator.budget.limit import Limit, Per
from smallmodel_operator.budget.price import Price
from smallmodel_operator.budget.window import Period
from smallmodel_operator.budget.worst import Bound, bound
from smallmodel_operator.gateway.decide.passes import Passes
from smallmodel_operator.gateway.decide.policies import Policies
from smallmodel_operator.gateway.decide.service import Deciding, Record, Withhold
from smallmodel_operator.gateway.egress.server import milliseconds

TWO = Limit(Per.ROUTE, Period.MONTH, Unit.REQUESTS, 2, local=True)
TOKENS = Limit(Per.CALLER, Period.MONTH, Unit.TOKENS, 100_000)
ASKED: Final[dict[str, Any]] = {
    "model": "desk", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 9, "fake_usage": USAGE,
}  # fmt: skip


def counting(way: Outward, data: Path) -> Counted:
    """In place of who decides there: the same, with budgets."""

    def decides(record: Record, withhold: Withhold) -> Deciding:
        policies = Policies(lambda: way.gateway.state, lambda _: None)
        sign = Passes(lambda: MASTER, lambda: milliseconds() + LEAD_MS - 100)
        return Deciding(policies.route, policies.labels, record, sign=sign, withhold=withhold)

    way.end()
    found = Counted(way.gateway, data, decides)
    found.begin()
    return found


def test_over_a_budget_of_what_leaves_requests_stay(tmp_path_factory: pytest.TempPathFactory) -> None:
    with outward(tmp_path_factory.mktemp("o")) as way:
        state = way.gateway.state
        desk = replace(route("desk"), budgets=(TWO, TOKENS))
        way.gateway.apply(replace(state, routes={**state.routes, desk.path: desk}))
        counted = counting(way, way.gateway.site.data)
        try:
            way.gateway._eventually(lambda: counted.budgets.counting is not None, "it counts")
            assert way.ask().error["code"] == "not_countable", "nobody knows how much would be generated outside"
            assert [way.ask(max_tokens=9).status for _ in range(2)] == [200, 200]
            assert len(way.outside.asked) == 2
            way.forget()
            counted.records.clear()

            answer = way.ask(max_tokens=9)
            assert (answer.status, answer.headers["x-slm-model-digest"]) == (200, "sha256:bot")
            assert (way.outside.bytes, way.went()) == (0, "inside")
            (record,) = counted.records
            assert (record["slm.decision.target"], record["slm.decision.reasons"]) == ("small", "BudgetExhausted")
            assert way.ask(name="desk/cloud", max_tokens=9).error["code"] == "kept_inside"
            assert way.ask(name="desk/small", max_tokens=9).status == 200
            assert way.outside.bytes == 0
            assert counted.part(TWO, "desk").used == 2, "what stays counts no more"
            assert counted.part(TOKENS, "desk").used > 2 * 10, "but for the others"
        finally:
            counted.end()


def test_money_is_spent_on_what_leaves_alone_and_never_beyond_the_budget(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    price = Price(1_000_000, 3_000_000, "EUR")
    most = price.of(*astuple(cast(Bound, bound(CHAT, json.dumps(ASKED).encode()))))
    each = price.of(USAGE["prompt_tokens"], USAGE["completion_tokens"])
    euros = Limit(Per.ROUTE, Period.MONTH, Unit.MONEY, most + 2 * each + each // 2, local=True, currency="EUR")
    with outward(tmp_path_factory.mktemp("o")) as way:
        state, desk = way.gateway.state, route("desk")
        leads = tuple(replace(lead, price=price) if lead.outside else lead for lead in desk.leads)
        desk = replace(desk, leads=leads, budgets=(euros,))
        way.gateway.apply(replace(state, routes={**state.routes, desk.path: desk}))
        counted = counting(way, way.gateway.site.data)
        try:
            way.gateway._eventually(lambda: counted.budgets.counting is not None, "it counts")
            for spent in range(1, 4):
                assert way.send(ASKED).status == 200
                assert counted.part(euros, "desk").used == spent * each, "to the trillionth"
            assert len(way.outside.asked) == 3
            answer = way.send(ASKED)
            assert (answer.status, answer.headers["x-slm-model-digest"]) == (200, "sha256:bot")
            assert way.ask(name="desk/small", max_tokens=9).status == 200
            assert len(way.outside.asked) == 3
            part = counted.part(euros, "desk")
            assert (part.used, part.reserved) == (3 * each, 0)
            assert part.used <= euros.most < part.used + most, "less is left than the next one may cost"
        finally:
            counted.end()


def test_what_fails_outside_and_is_answered_inside_is_one_request_and_costs_what_may_have_been_asked_for(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    price = Price(1_000_000, 3_000_000, "EUR")
    most = price.of(*astuple(cast(Bound, bound(CHAT, json.dumps(ASKED).encode()))))
    euros = Limit(Per.ROUTE, Period.MONTH, Unit.MONEY, 10 * most, currency="EUR")
    ten = Limit(Per.ROUTE, Period.MONTH, Unit.REQUESTS, 10)
    with outward(tmp_path_factory.mktemp("o")) as way:
        state, desk = way.gateway.state, route("desk")
        leads = tuple(replace(lead, price=price) if lead.outside else lead for lead in desk.leads)
        desk = replace(desk, leads=leads, budgets=(euros, ten))
        way.gateway.apply(replace(state, routes={**state.routes, desk.path: desk}))
        counted = counting(way, way.gateway.site.data)
        try:
            way.gateway._eventually(lambda: counted.budgets.counting is not None, "it counts")
            spent = 0
            for number, (does, cost) in enumerate([({"fake_status": 500}, 0), ({"fake_close": True}, most)], start=1):
                way.outside.does.clear()
                way.outside.does |= does
                answer = way.send(ASKED)
                assert (answer.status, answer.headers["x-slm-degraded"]) == (200, "outside-failing")
                spent += cost
                part = counted.part(euros, "desk")
                assert (part.used, part.reserved) == (spent, 0)
                assert counted.part(ten, "desk").used == number
            with way.outside.refusing():
                assert way.send(ASKED).headers["x-slm-degraded"] == "outside-failing"
                assert counted.part(euros, "desk").used == spent, "nobody was reached"
        finally:
            counted.end()
