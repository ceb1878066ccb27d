"""`slm route budget`: from the status alone."""

import json

import pytest
from tests.fakes.apiserver import FakeApiServer

from smallmodel_operator.cli.route_budget import budget

MONTH = {"per": "Route", "period": "Month", "unit": "Tokens", "window": "2026-11", "limit": 1000, "used": 800}
TODAY = {
    "per": "Caller",
    "period": "Day",
    "unit": "Requests",
    "window": "2026-11-22",
    "limit": 5,
    "used": 5,
    "usedUpBy": 2,
}

MONEY = {
    "per": "Route",
    "period": "Month",
    "unit": "Money",
    "currency": "EUR",
    "window": "2026-11",
    "limit": 400_000_000,
    "used": 20_500_000,
}


def put(api: FakeApiServer, status: str = "True", budgets: bool = True) -> None:
    condition = {"type": "BudgetAvailable", "status": status, "reason": "BudgetLow", "message": "At least 80 %."}
    spec = {"budgets": [{"per": "Route", "period": "Month", "tokens": 1000}]} if budgets else {}
    api.put(
        {
            "apiVersion": "smallmodel.dev/v1alpha1",
            "kind": "ModelRoute",
            "metadata": {"name": "desk", "namespace": "support"},
            "spec": spec,
            "status": {"budgets": [MONTH, TODAY, MONEY], "conditions": [condition]},
        }
    )


async def test_each_budget_and_what_is_the_matter(connected: FakeApiServer, capsys: pytest.CaptureFixture[str]) -> None:
    put(connected)
    assert await budget("desk", "support", "table") == 0
    said = capsys.readouterr()
    rows = [line.split() for line in said.out.splitlines()]
    assert rows[1:] == [
        ["Route", "2026-11", "Tokens", "800", "1000"],
        ["Caller", "2026-11-22", "Requests", "5", "5", "2", "caller(s)"],
        ["Route", "2026-11", "Money", "20.50", "EUR", "400.00", "EUR"],
    ]
    assert "At least 80 %." in said.err


async def test_as_json_and_its_exit_code(connected: FakeApiServer, capsys: pytest.CaptureFixture[str]) -> None:
    put(connected, "False")
    assert await budget("desk", "support", "json") == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["available"], found["reason"], found["budgets"]) == ("False", "BudgetLow", [MONTH, TODAY, MONEY])


async def test_a_route_that_is_not_there_or_has_none(
    connected: FakeApiServer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await budget("desk", "support", "table") == 1
    put(connected, budgets=False)
    assert await budget("desk", "support", "table") == 1
    said = capsys.readouterr().err
    assert "does not exist" in said
    assert "has no budgets" in said
