"""What is said of a route's budgets, from what gateways write into a real API server."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.apiserver.conftest import Operator, apply, eventually
from tests.apiserver.objects import condition, model, stands
from tests.apiserver.test_routes import delete, route

from smallmodel_operator.budget import text
from smallmodel_operator.budget.counter import Counter, Unit
from smallmodel_operator.budget.places import place
from smallmodel_operator.budget.register import Register, Share
from smallmodel_operator.budget.window import Period, window
from smallmodel_operator.cluster.budgets import ENTRY
from smallmodel_operator.cluster.client import Client
from smallmodel_operator.control.route import budgeted, decide

MONTH = {"per": "Route", "period": "Month", "tokens": 1000, "softPercent": 80}


def counted(namespace: str, used: int) -> dict[str, Any]:
    """The register of route desk as gateways leave it."""
    name = f"{namespace}/desk"
    counter = Counter(name, Unit.TOKENS, window(Period.MONTH, datetime.now(UTC)))
    register = Register({"gateway-0": "j"}, {counter: {"gateway-0": Share(used, used)}})
    meta = {"name": place(name), "namespace": namespace}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {ENTRY: text.write(register)}}


async def test_a_budget_is_said_when_it_matters_and_not_for_each_request(
    api: Client, namespace: str, operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budgeted, "READ_SECONDS", 0.2)
    monkeypatch.setattr(decide, "BUDGET_SECONDS", 0.5)

    async def said(reason: str, used: int | None) -> dict[str, Any]:
        found = stands(await api.get("ModelRoute", "desk", namespace), BudgetAvailable=reason, Stalled="Settled")
        assert [one["used"] for one in found["status"].get("budgets", [])] == ([] if used is None else [used])
        return found

    async with operator():
        await apply(api, model(namespace), route(namespace, ("bot", None), budgets=[MONTH]))
        found = await eventually(lambda: said("BudgetUnknown", None))
        assert condition(found, "BudgetAvailable")["status"] == "Unknown"
        await apply(api, counted(namespace, 410))

        async def calm() -> str:
            """Once nothing else of the route changes any more: its version."""
            found = await said("BudgetLeft", 400)
            await asyncio.sleep(2)
            version = str(found["metadata"]["resourceVersion"])
            assert (await said("BudgetLeft", 400))["metadata"]["resourceVersion"] == version
            return version

        before = await eventually(calm)
        for used in (420, 449):
            await apply(api, counted(namespace, used))
            await asyncio.sleep(1.5)
        after = await said("BudgetLeft", 400)
        assert after["metadata"]["resourceVersion"] == before, "no write for so little"
        await apply(api, counted(namespace, 800))
        await eventually(lambda: said("BudgetLow", 800))
        await apply(api, counted(namespace, 1003))
        found = await eventually(lambda: said("BudgetExhausted", 1000))
        assert condition(found, "BudgetAvailable")["status"] == "False"
        assert "Raise it in spec.budgets" in condition(found, "BudgetAvailable")["message"]
        await apply(api, route(namespace, ("bot", None), budgets=[{**MONTH, "tokens": 5000}]))
        await eventually(lambda: said("BudgetLeft", 1000))
        await delete(api, "ConfigMap", place(f"{namespace}/desk"), namespace)
        await eventually(lambda: said("BudgetUnknown", None))
        await apply(api, route(namespace, ("bot", None)))

        async def gone() -> None:
            status = stands(await api.get("ModelRoute", "desk", namespace), Stalled="Settled")["status"]
            assert "budgets" not in status
            assert "BudgetAvailable" not in [c["type"] for c in status["conditions"]]

        await eventually(gone)
