"""Replicas on a real API server: who may write them, and what an objective does without a word of a gateway."""

from typing import Any

import pytest
from tests.apiserver.conftest import Operator, apply, eventually
from tests.apiserver.objects import condition, model
from tests.apiserver.test_reconcile import children, serving

from smallmodel_operator.cluster.client import ApiError, Client
from smallmodel_operator.cluster.kinds import KINDS

OBJECTIVE = {
    "mode": "Objective",
    "minReplicas": 2,
    "maxReplicas": 4,
    "objectives": {"latency": {"timeToFirstTokenMilliseconds": 500}},
}
HPA = "horizontal-pod-autoscaler"


async def _scale(api: Client, namespace: str, replicas: int) -> None:
    """As an autoscaler does: an update of the Deployment's scale."""
    path = KINDS["Deployment"].path(namespace, "bot", "scale")
    await api.request(
        "PATCH",
        path,
        query={"fieldManager": HPA},
        body={"spec": {"replicas": replicas}},
        content_type="application/merge-patch+json",
    )


async def _replicas(api: Client, namespace: str) -> int:
    return int((await children(api, namespace))["Deployment", "bot"]["spec"]["replicas"])


async def test_an_objective_starts_at_its_floor_and_scale_answers_with_the_way_out(
    api: Client, namespace: str, operator: Operator
) -> None:
    async with operator():
        await apply(api, model(namespace, scaling=OBJECTIVE))
        seen = await serving(api, namespace)
        assert (seen["status"]["scaling"]["desired"], await _replicas(api, namespace)) == (2, 2)
        assert condition(seen, "ScalingActive")["status"] != "True", "no gateway has counted anything"
        assert condition(seen, "LatencyObjectiveMet")["status"] == "Unknown"
        with pytest.raises(ApiError, match="must be 1 in mode Objective"):
            await api.request(
                "PATCH",
                KINDS["SmallModel"].path(namespace, "bot") + "/scale",
                body={"spec": {"replicas": 3}},
                content_type="application/merge-patch+json",
            )


async def test_a_second_scaler_is_set_back_once_and_then_left_alone_and_named(
    api: Client, namespace: str, operator: Operator
) -> None:
    async with operator():
        await apply(api, model(namespace))
        await serving(api, namespace)
        await _scale(api, namespace, 3)

        async def set_back() -> None:
            assert await _replicas(api, namespace) == 1
            told = [e for e in await api.list("Event", namespace) if e["reason"] == "ReplicasRestored"]
            assert len(told) == 1
            assert f"set to 3 by {HPA}" in told[0]["note"]

        await eventually(set_back)
        await _scale(api, namespace, 4)

        async def left() -> dict[str, Any]:
            seen = await api.get("SmallModel", "bot", namespace)
            assert condition(seen, "ScalingActive")["reason"] == "ConflictingScaler"
            assert HPA in condition(seen, "ScalingActive")["message"]
            assert await _replicas(api, namespace) == 4
            assert seen is not None
            return seen

        seen = await eventually(left)
        assert seen["status"]["scaling"]["desired"] == 4
