"""Inference stopped by the ClusterBoundary, and allowed again: models say so at once, and what runs is not touched."""

from typing import Any

from tests.apiserver.conftest import Operator, apply, eventually
from tests.apiserver.objects import condition, model, stands

from smallmodel_operator.api.names import API_VERSION, BOUNDARY, LABEL_MODEL, LABEL_ROLE, ROLE_SERVER
from smallmodel_operator.cluster.client import Client

SERVERS = f"{LABEL_MODEL},{LABEL_ROLE}={ROLE_SERVER}"
"""Not the pod that looked at the weights: its Job goes when it likes."""


def boundary(*namespaces: dict[str, Any]) -> dict[str, Any]:
    spec = {"namespaces": list(namespaces)}
    return {"apiVersion": API_VERSION, "kind": "ClusterBoundary", "metadata": {"name": BOUNDARY}, "spec": spec}


async def test_a_stop_is_told_by_the_models_it_is_for_and_touches_nothing(
    api: Client, namespace: str, operator: Operator
) -> None:
    async def stand(**reasons: str) -> dict[str, Any]:
        async def check() -> dict[str, Any]:
            return stands(await api.get("SmallModel", "bot", namespace), **reasons)

        return dict(await eventually(check))

    async def running() -> list[Any]:
        found = [*await api.list("Deployment", namespace), *await api.list("Pod", namespace, labelSelector=SERVERS)]
        return [(o["metadata"]["uid"], o["metadata"].get("generation"), o["spec"]) for o in found]

    try:
        await apply(api, boundary())
        async with operator():
            await apply(api, model(namespace))
            await stand(Ready="Serving", Reconciling="Settled")
            before = await running()
            stop = {"name": namespace, "inference": "Stopped", "reason": "ticket 7"}
            await apply(api, boundary(stop), manager="slm")
            seen = await stand(Ready="InferenceStopped", Routable="InferenceStopped", Reconciling="Settled")
            ready, stalled = condition(seen, "Ready"), condition(seen, "Stalled")
            assert (ready["status"], condition(seen, "Routable")["status"], stalled["status"]) == ("False",) * 3
            assert "ticket 7" in ready["message"]
            assert f"`slm boundary unseal --namespace {namespace}` allows it again" in ready["message"]
            await apply(api, boundary(), manager="slm")
            await stand(Ready="Serving", Routable="Routed")
            assert await running() == before
    finally:
        if live := await api.get("ClusterBoundary", BOUNDARY):
            await api.delete("ClusterBoundary", BOUNDARY, "", live["metadata"]["uid"])
