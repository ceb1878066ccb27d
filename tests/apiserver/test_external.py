"""Mode External on a real API server, with its real HorizontalPodAutoscaler controller."""

import asyncio
import json
from typing import Any

import pytest
from hack.cluster.controlplane import ControlPlane
from tests.apiserver.conftest import Operator, apply, eventually, kubectl
from tests.apiserver.objects import condition, model
from tests.apiserver.test_reconcile import children, serving

from smallmodel_operator.cluster.client import ApiError, Client

OBJECTIVE = {
    "mode": "Objective",
    "minReplicas": 3,
    "maxReplicas": 4,
    "objectives": {"latency": {"timeToFirstTokenMilliseconds": 500}},
}
EXTERNAL = {"mode": "External"}
GIT = "argocd-controller"


def _hpa(namespace: str, least: int, most: int = 6) -> str:
    """Without a metrics server its limits are all it can act on, and it does: through the scale subresource."""
    target = {"apiVersion": "smallmodel.dev/v1alpha1", "kind": "SmallModel", "name": "bot"}
    cpu = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}
    return json.dumps(
        {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": "bot", "namespace": namespace},
            "spec": {"scaleTargetRef": target, "minReplicas": least, "maxReplicas": most, "metrics": [cpu]},
        }
    )


async def _apply(plane: ControlPlane, text: str, *words: str) -> str:
    return await asyncio.to_thread(plane.kubectl, "apply", "--server-side", *words, "-f-", stdin=text)


async def _replicas(api: Client, namespace: str) -> int:
    return int((await children(api, namespace))["Deployment", "bot"]["spec"]["replicas"])


async def _stands(api: Client, namespace: str, replicas: int, reason: str) -> dict[str, Any]:
    async def found() -> dict[str, Any]:
        seen = await api.get("SmallModel", "bot", namespace)
        assert (condition(seen, "ScalingActive")["reason"], await _replicas(api, namespace)) == (reason, replicas)
        assert seen is not None
        assert seen["status"]["scaling"]["desired"] == replicas, "not said yet"
        return seen

    return await eventually(found, 120)


@pytest.mark.long
async def test_an_hpa_takes_over_what_runs_and_gives_it_back(
    api: Client, plane: ControlPlane, namespace: str, operator: Operator
) -> None:
    """From an objective's three, by an HPA's four and five, and back to the objective: never by a jump."""
    async with operator():
        await apply(api, model(namespace, scaling=OBJECTIVE), manager=GIT)
        await serving(api, namespace)
        assert await _replicas(api, namespace) == 3
        await apply(api, model(namespace, scaling=EXTERNAL), manager=GIT)
        seen = await _stands(api, namespace, 3, "ExternalScalerSilent")
        assert seen["spec"]["replicas"] == 1, "what is there when nobody sets it"

        await _apply(plane, _hpa(namespace, 4))
        seen = await _stands(api, namespace, 4, "ExternalScaler")
        assert seen["spec"]["replicas"] == 4
        # What Git applies again changes nothing and is in no conflict: it never had the field.
        again = await _apply(plane, json.dumps(model(namespace, scaling=EXTERNAL)), f"--field-manager={GIT}", "-o=json")
        assert json.loads(again)["spec"]["replicas"] == 4
        await _apply(plane, _hpa(namespace, 5))
        await _stands(api, namespace, 5, "ExternalScaler")

        await kubectl(plane, "-n", namespace, "delete", "hpa", "bot")
        wish = {**OBJECTIVE, "maxReplicas": 6}
        with pytest.raises(ApiError, match="must be 1 in mode Objective"):
            await apply(api, model(namespace, scaling=wish), manager=GIT)
        await apply(api, model(namespace, scaling=wish, replicas=1), manager=GIT)

        async def back() -> None:
            seen = await api.get("SmallModel", "bot", namespace)
            assert condition(seen, "ScalingActive")["reason"].startswith("Signals")
            assert await _replicas(api, namespace) == 5, "kept until the objective's controller speaks"

        await eventually(back)


async def test_kubectl_scale_is_a_writer_like_any_other(
    api: Client, plane: ControlPlane, namespace: str, operator: Operator
) -> None:
    async with operator():
        await apply(api, model(namespace, scaling=EXTERNAL), manager=GIT)
        await serving(api, namespace)
        await kubectl(plane, "-n", namespace, "scale", "smallmodel", "bot", "--replicas=2")
        seen = await _stands(api, namespace, 2, "ExternalScaler")
        assert seen["status"]["scaling"]["why"] == "`spec.replicas` is 2"
        await kubectl(plane, "-n", namespace, "scale", "smallmodel", "bot", "--replicas=0")
        seen = await _stands(api, namespace, 0, "ExternalScaler")
        assert condition(seen, "Routable")["message"].startswith("At 0 in mode External: the gateways hold")
