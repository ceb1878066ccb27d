"""`slm explain`: the chain of the last decisions, from the status alone."""

import pytest
from tests.fakes import objects
from tests.fakes.apiserver import FakeApiServer

from smallmodel_operator.cli.explain import explain, lines, of_route

SCALING = {
    "mode": "Objective", "maxReplicas": 4,
    "objectives": {"latency": {"percentile": 90, "timeToFirstTokenMilliseconds": 800}},
}  # fmt: skip
DECISIONS = [
    {"at": "2026-11-22T09:00:00Z", "replicas": 1, "why": "1 kept: nothing is known"},
    {"at": "2026-11-22T09:10:00Z", "replicas": 2, "why": "2 instead of 1: 2.31 requests/s planned for"},
]


async def test_the_chain_of_decisions(connected: FakeApiServer, capsys: pytest.CaptureFixture[str]) -> None:
    body = objects.model(scaling=SCALING)
    met = {"type": "LatencyObjectiveMet", "status": "True", "reason": "ObjectiveMet", "message": "had"}
    scaling = {"desired": 2, "why": DECISIONS[1]["why"], "decisions": DECISIONS}
    connected.put({**body, "status": {"scaling": scaling, "readyReplicas": 1, "conditions": [met]}})
    assert await explain("bot", "support") == 0
    assert capsys.readouterr().out.splitlines() == [
        "mode Objective: 90 % of first tokens within 800 ms, with 1 to 4 replicas",
        "2 wanted, 1 answer",
        "LatencyObjectiveMet True (ObjectiveMet): had",
        "2026-11-22T09:00:00Z 1: 1 kept: nothing is known",
        "2026-11-22T09:10:00Z 2: 2 instead of 1: 2.31 requests/s planned for",
    ]


def test_every_bound_is_named() -> None:
    latency = {"interTokenMilliseconds": 60, "endToEndMilliseconds": 4000}
    body = objects.model(scaling={"mode": "Objective", "maxReplicas": 4, "objectives": {"latency": latency}})
    assert lines({**body, "status": {"scaling": {"desired": 1}}})[0] == (
        "mode Objective: 95 % of times from token to token within 60 ms and of whole answers within 4000 ms, "
        "with 1 to 4 replicas"
    )


def test_a_model_in_mode_manual() -> None:
    body = {**objects.model(replicas=2), "status": {"scaling": {"desired": 2, "why": "`spec.replicas` is 2"}}}
    assert lines(body) == [
        "mode Manual: `spec.replicas` is 2", "2 wanted, 0 answer", "now 2: `spec.replicas` is 2",
    ]  # fmt: skip


def test_who_holds_the_room_of_a_full_pool() -> None:
    full = {
        "type": "ScalingActive",
        "status": "False",
        "reason": "PoolFull",
        "message": "held by city/rescue (Critical)",
    }
    body = objects.model(scaling={"minReplicas": 0, "priority": "Batch"})
    scaling = {"desired": 1, "why": "0 of 1: the pool is full"}
    assert lines({**body, "status": {"scaling": scaling, "conditions": [full]}}) == [
        "mode Manual: `spec.replicas` is 1, priority Batch",
        "1 wanted, 0 answer",
        "ScalingActive False (PoolFull): held by city/rescue (Critical)",
        "now 1: 0 of 1: the pool is full",
    ]


def test_a_model_that_somebody_else_scales() -> None:
    body = objects.model(replicas=2, scaling={"mode": "External"})
    asked = lines({**body, "status": {"scaling": {"desired": 2, "why": "so"}}})[0]
    assert asked == "mode External: `spec.replicas` is 2, as whoever scales the model wrote it"


def test_a_model_nobody_has_looked_at() -> None:
    assert "slm status" in lines(objects.model())[0]


async def test_a_model_that_is_not_there(connected: FakeApiServer, capsys: pytest.CaptureFixture[str]) -> None:
    assert await explain("gone", "support") == 1
    assert "'gone' does not exist" in " ".join(capsys.readouterr().err.split())
    connected.down = True
    assert await explain("bot", "support") == 1
    assert "does not answer" in " ".join(capsys.readouterr().err.split())


COST = {"monthlyBudget": "400", "maxPerMillionTokens": "0.80", "currency": "EUR", "onExceeded": "Cap"}
SPENT = {
    "at": "2026-11-22T09:00:00Z", "currency": "EUR", "monthToDate": "120.00", "monthEnd": "390.00",
    "perMillionTokens": "0.42",
}  # fmt: skip


def with_cost(cost: dict[str, str], said: dict[str, str], **objectives: str) -> list[str]:
    scaling = {
        "mode": "Objective",
        "maxReplicas": 4,
        "objectives": {**SCALING["objectives"], "cost": cost, **objectives},
    }
    met = {"type": "CostObjectiveMet", "status": "True", "reason": "WithinCost", "message": "had"}
    status = {"scaling": {"desired": 1}, "cost": said, "conditions": [met]}
    return lines({**objects.model(scaling=scaling), "status": status})[2:5]


def test_what_it_may_cost_and_has_cost() -> None:
    assert with_cost(COST, SPENT, prefer="Cost") == [
        "at most 400 EUR a month and 0.80 EUR a million tokens; Cap when exceeded, Cost goes first",
        "by 2026-11-22T09:00:00Z: 120.00 EUR spent, 390.00 EUR expected by the month's end, 0.42 EUR a million tokens",
        "CostObjectiveMet True (WithinCost): had",
    ]


def test_a_budget_alone_before_anything_was_spent() -> None:
    assert with_cost({"monthlyBudget": "400", "currency": "EUR"}, {})[:2] == [
        "at most 400 EUR a month; Warn when exceeded, Latency goes first", "no cost yet",
    ]  # fmt: skip


async def test_a_route_says_where_requests_go(connected: FakeApiServer, capsys: pytest.CaptureFixture[str]) -> None:
    connected.put(objects.route(small=3, large=1))
    assert await explain("desk", "support") == 0
    assert capsys.readouterr().out.splitlines() == [
        "small: 75 % of what names no target, to support/small: ready (Serving)",
        "large: 25 % of what names no target, to support/large: ready (Serving)",
        "Ready True (Serving): 2 of 2 target(s) answer.",
    ]


def test_a_default_gets_all_and_a_target_nobody_has_looked_at_is_not_ready() -> None:
    body = objects.route(small=None, large=None)
    body["spec"]["default"] = "large"
    assert of_route({**body, "status": {}}) == [
        "small: 0 % of what names no target, to small: not ready (not seen yet)",
        "large: 100 % of what names no target, to large: not ready (not seen yet)",
    ]
