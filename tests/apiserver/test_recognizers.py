"""Recognizers on a real API server: gateways find their pods, and routes say what is missing."""

import asyncio
from typing import Any

from hack.cluster.controlplane import ControlPlane
from tests.apiserver.conftest import Operator, apply, eventually
from tests.apiserver.objects import condition, model, stands
from tests.apiserver.test_egress import URL, WayOut, hybrid
from tests.apiserver.test_endpoint_policy import create
from tests.apiserver.test_routes import delete

from smallmodel_operator.cluster.client import Client
from smallmodel_operator.gateway.decide.services import Services
from smallmodel_operator.gateway.state import Endpoint

ROLE = {"smallmodel.dev/role": "recognizer"}
NER = {"name": "ner", "detectors": ["Names"], "service": {"name": "presidio"}}


def endpoint_slice(namespace: str, name: str, address: str, port: int = 3000, **labels: str) -> dict[str, Any]:
    marks = {
        "kubernetes.io/service-name": "presidio",
        "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
        **ROLE,
        **{f"smallmodel.dev/{label}": value for label, value in labels.items()},
    }
    pod = {"kind": "Pod", "namespace": namespace, "name": f"{name}-pod"}
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": name, "namespace": namespace, "labels": marks},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}, "targetRef": pod}],
        "ports": [{"port": port, "protocol": "TCP"}],
    }


async def test_gateways_find_the_pods_while_a_route_wants_them(api: Client, namespace: str) -> None:
    name, wanted = (namespace, "presidio"), {(namespace, "presidio")}
    services = Services(api, lambda: wanted)
    running = asyncio.create_task(services.run())
    try:
        for one in (
            endpoint_slice(namespace, "a", "10.0.0.7"),
            endpoint_slice(namespace, "b", "10.0.0.8", port=8080),
            endpoint_slice(namespace, "c", "10.0.0.9", role="server"),
        ):
            await create(api, one)

        async def found() -> None:
            assert services.of(name) == (Endpoint("10.0.0.7", 3000, "a-pod", ready=True),)

        await eventually(found)
        wanted.clear()

        async def forgotten() -> None:
            assert services.of(name) == ()

        await eventually(forgotten)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_a_route_says_what_is_missing(
    api: Client, namespace: str, operator: Operator, plane: ControlPlane
) -> None:
    async def said(words: str) -> None:
        seen = stands(await api.get("ModelRoute", "desk", namespace), Ready="Serving")
        assert condition(seen, "BoundaryEnforced")["reason"] == "RecognizerMissing"
        assert words in condition(seen, "BoundaryEnforced")["message"]

    given = hybrid(namespace, detectors=["Pii", "Names"], recognizers=[NER])
    given["spec"]["targets"][1] = {"name": "cloud", "external": {"url": URL, "model": "big-1"}}
    way = WayOut(api, plane, namespace)
    way.install()
    async with operator(**way.settings):
        await apply(api, model(namespace), given)
        await eventually(lambda: said("`boundary.recognizers.enabled`"))
    async with operator(**way.settings, recognizers=True):
        await eventually(lambda: said("Service 'presidio' does not exist in this namespace"))
        await delete(api, "ModelRoute", "desk", namespace)
