"""All gateways gone, and back: every model says so, though nothing else happens to it."""

from typing import Any

import pytest
from tests.apiserver.conftest import Operator, apply, eventually
from tests.apiserver.objects import model, stands

from smallmodel_operator.api.names import GATEWAY
from smallmodel_operator.cluster.client import Client
from smallmodel_operator.control import verdict


def gateways(namespace: str, *, ready: bool) -> dict[str, Any]:
    """The slice of a gateway whose agent is silent: Envoy goes on, so its models are Ready."""
    pod = {"kind": "Pod", "namespace": namespace, "name": f"{GATEWAY}-0"}
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": "gateways",
            "namespace": namespace,
            "labels": {"kubernetes.io/service-name": f"{GATEWAY}-pods"},
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["192.0.2.1"], "conditions": {"ready": ready}, "targetRef": pod}],
        "ports": [],
    }


async def test_models_at_rest_hear_that_no_gateway_is_left_and_that_one_is_back(
    api: Client, namespace: str, operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verdict, "NO_GATEWAY_LOOK_SECONDS", verdict.RESYNC_SECONDS)  # nobody looks by himself

    async def stand(**reasons: str) -> None:
        async def check() -> None:
            for name in ("bot", "other"):
                stands(await api.get("SmallModel", name, namespace), **reasons)

        await eventually(check)

    await api.apply(gateways(namespace, ready=True), force=True)
    async with operator(gateways=()):
        await apply(api, model(namespace), model(namespace, "other"))
        await stand(Ready="Serving", Routable="GatewaySilent")
        await api.apply(gateways(namespace, ready=False), force=True)
        await stand(Ready="GatewayMissing", Routable="GatewayMissing", Reconciling="GatewayMissing")
        await api.apply(gateways(namespace, ready=True), force=True)
        await stand(Ready="Serving", Routable="GatewaySilent", Reconciling="Settled")
