"""What models cost, over ends and crashes of the operator: real rights, real objects, each second paid for once."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from hack.cluster.controlplane import ControlPlane
from hack.testing.fake_gateway import FakeGateway
from tests.apiserver.conftest import Spawn, apply, eventually, kubectl
from tests.apiserver.objects import NODE, model, profile

from smallmodel_operator.cluster.client import Client
from smallmodel_operator.cluster.spend import Spend
from smallmodel_operator.core.traffic import Usage
from smallmodel_operator.cost import checkpoint
from smallmodel_operator.cost.ledger import PoolAccount, microseconds
from smallmodel_operator.cost.share import WHOLE
from smallmodel_operator.cost.state import State

pytestmark = pytest.mark.long

NANO = 360_000 * 10**9
"""An hour of the node: 100 EUR a second, so that a test sees it."""


@pytest.fixture
async def priced(api: Client, plane: ControlPlane, namespace: str) -> AsyncIterator[str]:
    """A profile with a price, and its one node, of which a replica has a tenth of the cpu."""
    node = {**NODE, "metadata": {**NODE["metadata"], "name": namespace, "labels": {"slm-test": namespace}}}
    node["status"] = {key: {"cpu": "1", "memory": "10Ti", "pods": "100"} for key in ("allocatable", "capacity")}
    await kubectl_apply(plane, node)
    price = {"hourly": "360000", "currency": "EUR"}
    await apply(api, profile(namespace, price=price, nodeSelector={"slm-test": namespace}))
    yield namespace
    await kubectl(plane, "delete", "node", namespace)
    await kubectl(plane, "delete", "computeprofile", namespace)


async def kubectl_apply(plane: ControlPlane, obj: dict[str, Any]) -> None:
    await asyncio.to_thread(plane.kubectl, "apply", "--server-side", "-f-", stdin=json.dumps(obj))


async def kept(api: Client, namespace: str) -> State:
    text = await Spend(api, namespace).load()
    assert text is not None, "no ledger yet"
    return checkpoint.load(text)


def of_all(state: State, namespace: str) -> PoolAccount:
    found = PoolAccount()
    for book in state.ledger.values():
        found = found.plus(book.pools.get((namespace, "EUR"), PoolAccount()))
    return found


async def looked(gateway: FakeGateway, asked: int) -> None:
    """The operator has looked once more since."""

    def check() -> None:
        assert gateway.usage_asked > asked

    await eventually(check, 180)  # a killed operator's lease runs out first, and a look is due every 30 s


async def test_each_second_is_paid_for_once_over_an_end_a_crash_and_a_successor(
    api: Client, plane: ControlPlane, namespace: str, spawn: Spawn, gateway: FakeGateway, priced: str
) -> None:
    gateway.usage = {"epoch": microseconds(datetime.now(UTC)), "models": {f"{namespace}/bot": [1, 10, 3]}}
    asked = gateway.usage_asked
    first = await spawn("a")
    await apply(api, model(namespace, compute={"profileRef": {"name": priced}}))

    async def serves() -> None:
        pods = await api.list("Pod", namespace)
        assert [p["spec"].get("nodeName") for p in pods] == [priced]

    await eventually(serves)
    await looked(gateway, asked)
    first.signal(signal.SIGTERM)
    assert await first.ended(20) == 0
    before = await eventually(lambda: kept(api, namespace))

    gateway.usage["models"][f"{namespace}/bot"] = [5, 700, 90]
    asked = gateway.usage_asked
    second = await spawn("b")
    await looked(gateway, asked)

    async def said() -> dict[str, Any]:
        # Each change pokes: a model at rest is passed only every ten minutes.
        note = {"metadata": {"annotations": {"test/at": datetime.now(UTC).isoformat()}}}
        await api.merge("SmallModel", "bot", namespace, note)
        body = await api.get("SmallModel", "bot", namespace)
        assert body is not None
        cost = dict(body["status"].get("cost") or {})
        assert cost.get("currency") == "EUR", cost
        return cost

    cost = await eventually(said, every=1)
    assert float(cost["monthToDate"]) > 0
    second.signal(signal.SIGKILL)
    await second.ended(10)
    assert await kept(api, namespace) == before, "it had no time to keep anything"

    asked = gateway.usage_asked
    third = await spawn("a")
    await looked(gateway, asked)
    third.signal(signal.SIGTERM)
    assert await third.ended(20) == 0
    after = await kept(api, namespace)
    node = await api.get("Node", priced)
    assert node is not None
    created = microseconds(datetime.fromisoformat(node["metadata"]["creationTimestamp"]))
    assert after.began == before.began <= before.at < after.at
    pool = of_all(after, priced)
    assert pool.total == (after.at - max(after.began, created)) * NANO * WHOLE
    models = [book.models[f"{namespace}/bot"] for book in after.ledger.values()]
    assert sum(m.spent["EUR"] for m in models) == pool.total - pool.idle - pool.others
    used = Usage()
    for one in models:
        used = used.plus(one.usage)
    assert used == Usage(4, 690, 87), "all since the ledger began"
