"""No pod is made for a model that no node can hold."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hack.cluster.controlplane import ControlPlane
from tests.apiserver.conftest import Operator, apply, eventually, kubectl
from tests.apiserver.objects import NODE, condition, model, stands

from smallmodel_operator.cluster import nodes
from smallmodel_operator.cluster.client import Client
from smallmodel_operator.quantization import decide

SMALL = {"cpu": "10", "memory": "128Mi", "pods": "100"}
"""Enough to read the header of the weights, not to serve them in 256 slots."""


@pytest.fixture
def node(plane: ControlPlane, namespace: str) -> Iterator[str]:
    """A small node that only this test's model may use."""
    name = f"small-{namespace}"
    taint = {"key": namespace, "effect": "NoSchedule"}
    meta = {**NODE["metadata"], "name": name, "labels": {"room": namespace}}
    body = {**NODE, "metadata": meta, "spec": {"taints": [taint]}, "status": {"allocatable": SMALL, "capacity": SMALL}}
    plane.kubectl("apply", "--server-side", "-f-", stdin=json.dumps(body))
    yield name
    plane.kubectl("delete", "node", name, "--wait=false")


async def test_it_is_refused_with_both_sizes_and_served_once_a_node_is_large_enough(
    api: Client,
    plane: ControlPlane,
    operator: Operator,
    namespace: str,
    node: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(decide, "RECHECK_SECONDS", 1.0)
    monkeypatch.setattr(nodes, "NODES_SECONDS", 0.0)
    tolerations = [{"key": namespace, "operator": "Exists"}]
    compute: dict[str, Any] = {"nodeSelector": {"room": namespace}, "tolerations": tolerations}

    async def bot() -> dict[str, Any] | None:
        return await api.get("SmallModel", "bot", namespace)

    async def refused() -> None:
        stands(await bot(), Ready="DoesNotFit", Stalled="DoesNotFit", FitsMemory="DoesNotFit")

    async def serving() -> None:
        stands(await bot(), FitsMemory="Fits")
        assert await api.get("Deployment", "bot", namespace) is not None

    async with operator():
        await apply(api, model(namespace, memory=None, compute=compute, engine={"parallelSlots": 256}))
        await eventually(refused)
        assert "the largest node has 128 MiB allocatable" in condition(await bot(), "FitsMemory")["message"]
        assert await api.get("Deployment", "bot", namespace) is None
        large = {"status": {"allocatable": {"memory": "1Gi"}, "capacity": {"memory": "1Gi"}}}
        await kubectl(plane, "patch", "node", node, "--subresource=status", "--type=merge", f"-p={json.dumps(large)}")
        await eventually(serving)
