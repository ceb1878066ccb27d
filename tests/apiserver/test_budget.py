"""A monthly budget on a real API server: used up, it ends what runs, over a restart, too; a larger one opens it."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from hack.cluster.controlplane import ControlPlane
from hack.testing.fake_gateway import FakeGateway
from tests.apiserver.conftest import Operator, apply, eventually, kubectl
from tests.apiserver.objects import NODE, condition, model, profile
from tests.apiserver.test_reconcile import children, serving

from smallmodel_operator.cluster.client import Client
from smallmodel_operator.cost.ledger import microseconds

pytestmark = pytest.mark.long

LATENCY = {"timeToFirstTokenMilliseconds": 500}


def scaling(money: str, currency: str = "EUR") -> dict[str, Any]:
    cost = {"monthlyBudget": money, "currency": currency, "onExceeded": "Refuse"}
    return {"mode": "Objective", "maxReplicas": 2, "objectives": {"latency": LATENCY, "cost": cost}}


@pytest.fixture
async def priced(api: Client, plane: ControlPlane, namespace: str) -> AsyncIterator[str]:
    """A node at 100 EUR a second, of which a replica has a tenth: two of them cost 2400 in the time kept back."""
    node = {**NODE, "metadata": {**NODE["metadata"], "name": namespace, "labels": {"slm-test": namespace}}}
    node["status"] = {key: {"cpu": "1", "memory": "10Ti", "pods": "100"} for key in ("allocatable", "capacity")}
    await asyncio.to_thread(plane.kubectl, "apply", "--server-side", "-f-", stdin=json.dumps(node))
    price = {"hourly": "360000", "currency": "EUR"}
    await apply(api, profile(namespace, price=price, nodeSelector={"slm-test": namespace}))
    yield namespace
    await kubectl(plane, "delete", "node", namespace)
    await kubectl(plane, "delete", "computeprofile", namespace)


async def _stands(api: Client, namespace: str, reason: str, replicas: int) -> dict[str, Any]:
    async def found() -> dict[str, Any]:
        seen = await api.get("SmallModel", "bot", namespace)
        assert condition(seen, "CostObjectiveMet")["reason"] == reason, condition(seen, "CostObjectiveMet")
        assert (await children(api, namespace))["Deployment", "bot"]["spec"]["replicas"] == replicas
        assert seen is not None
        return seen

    return await eventually(found, 120)


async def test_nothing_left_ends_it_over_a_restart_and_more_money_opens_it(
    api: Client, namespace: str, operator: Operator, gateway: FakeGateway, priced: str
) -> None:
    gateway.usage = {"epoch": microseconds(datetime.now(UTC)), "models": {}}
    compute = {"profileRef": {"name": priced}}
    async with operator():
        await apply(api, model(namespace, compute=compute, scaling=scaling("2450")))
        await serving(api, namespace)
        seen = await _stands(api, namespace, "BudgetExhausted", 0)
        assert condition(seen, "Ready")["reason"] == "BudgetExhausted"
        assert "429" in condition(seen, "Routable")["message"]
        version = (await children(api, namespace))["Deployment", "bot"]["metadata"]["generation"]
    async with operator():
        await asyncio.sleep(5)
        seen = await _stands(api, namespace, "BudgetExhausted", 0)
        live = (await children(api, namespace))["Deployment", "bot"]
        assert live["metadata"]["generation"] == version, "nothing was woken by a restart"
        await apply(api, model(namespace, compute=compute, scaling=scaling("900000000")))
        seen = await _stands(api, namespace, "WithinCost", 1)
        assert float(seen["status"]["cost"]["monthToDate"]) > 0
        events = {e["reason"]: e["type"] for e in await api.list("Event", namespace) if e["regarding"]["name"] == "bot"}
        assert events["BudgetExhausted"] == "Warning"


async def test_another_currency_is_named_and_limits_nothing(
    api: Client, namespace: str, operator: Operator, priced: str
) -> None:
    async with operator():
        await apply(api, model(namespace, compute={"profileRef": {"name": priced}}, scaling=scaling("1", "USD")))
        seen = await _stands(api, namespace, "CurrencyMismatch", 1)
        assert condition(seen, "Stalled")["status"] == "True"
        assert "priced in EUR" in condition(seen, "Stalled")["message"]
