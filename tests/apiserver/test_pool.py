"""Models on a node that holds two of them, with a real scheduler; the test is the gateway."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hack.cluster.controlplane import ControlPlane
from hack.testing.fake_gateway import FakeGateway
from tests.apiserver.conftest import Operator, apply, eventually
from tests.apiserver.objects import NODE, condition, model, stands

from smallmodel_operator.cluster.client import Client
from smallmodel_operator.cluster.kinds import KINDS

ROOM = {"cpu": "250m", "memory": "8Gi", "pods": "100"}
"""For two replicas of 100m."""


@pytest.fixture
def node(plane: ControlPlane, namespace: str) -> Iterator[dict[str, Any]]:
    """A node that only this test's models may use, and the right to know who is on it; what models say of it."""
    name, rbac = (
        f"pool-{namespace}",
        {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": f"pods-{namespace}"}},
    )
    taint = {"key": namespace, "effect": "NoSchedule"}
    meta = {**NODE["metadata"], "name": name, "labels": {"room": namespace}}
    role = {**rbac, "kind": "ClusterRole", "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}]}
    subject = {"kind": "ServiceAccount", "name": "smallmodel-operator", "namespace": namespace}
    ref = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role["metadata"]["name"]}
    binding = {**rbac, "kind": "ClusterRoleBinding", "roleRef": ref, "subjects": [subject]}
    body = {**NODE, "metadata": meta, "spec": {"taints": [taint]}, "status": {"allocatable": ROOM, "capacity": ROOM}}
    items = {"apiVersion": "v1", "kind": "List", "items": [body, role, binding]}
    plane.kubectl("apply", "--server-side", "-f-", stdin=json.dumps(items))
    # Ready, and no longer tainted as new: the operator looks at nodes every quarter of a minute only.
    plane.kubectl("wait", f"node/{name}", "--for=condition=Ready", "--timeout=60s")
    _until_only(plane, name, namespace)
    yield {"nodeSelector": {"room": namespace}, "tolerations": [{"key": namespace, "operator": "Exists"}]}
    plane.kubectl("delete", "node", name, "--wait=false")
    plane.kubectl("delete", "clusterrole,clusterrolebinding", f"pods-{namespace}", "--wait=false")


def _until_only(plane: ControlPlane, node: str, taint: str) -> None:
    """Until a node has this taint and no other."""
    for _ in range(600):
        if plane.kubectl("get", "node", node, "-o", "jsonpath={.spec.taints[*].key}") == taint:
            return
        time.sleep(0.1)
    raise AssertionError(f"node {node} is still tainted as new")


class City:
    """What gateways say of its models, and do."""

    def __init__(self, api: Client, namespace: str, gateway: FakeGateway, compute: dict[str, Any]) -> None:
        self.api, self.namespace, self.gateway, self.compute = api, namespace, gateway, compute

    async def open(self, name: str, **scaling: Any) -> None:
        scaling = {"minReplicas": 0, "idleSeconds": 3600, **scaling}
        await apply(self.api, model(self.namespace, name, scaling=scaling, compute=self.compute))

    def idle(self, name: str, seconds: float) -> None:
        self.gateway.says[f"{self.namespace}/{name}"] = {"idleSeconds": seconds}

    def held(self, name: str) -> None:
        self.gateway.says[f"{self.namespace}/{name}"] = {"held": 1}

    def busy(self, name: str) -> None:
        self.gateway.says[f"{self.namespace}/{name}"] = {"inFlight": 1}

    async def wake(self, name: str) -> None:
        path = KINDS["Deployment"].path(self.namespace, name, "scale")
        body = {"spec": {"replicas": 1}}
        await self.api.request("PATCH", path, body=body, content_type="application/merge-patch+json")

    async def stand(self, **wanted: str) -> None:
        """Until each model is Ready, or not, for this reason."""

        async def all_do() -> None:
            for name, reason in wanted.items():
                stands(await self.api.get("SmallModel", name, self.namespace), Ready=reason)

        await eventually(all_do)

    async def status(self, name: str) -> dict[str, Any]:
        found = await self.api.get("SmallModel", name, self.namespace)
        assert found is not None
        return dict(found["status"])


@pytest.fixture
def city(api: Client, namespace: str, gateway: FakeGateway, node: dict[str, Any]) -> City:
    return City(api, namespace, gateway, node)


async def test_without_room_it_is_said_who_holds_it_and_nobody_is_refused_for_good(
    city: City, operator: Operator
) -> None:
    async with operator():
        for name in ("law", "parks"):
            city.busy(name)
            await city.open(name, priority="Critical")
        await city.stand(law="Serving", parks="Serving")
        city.held("taxes")
        await city.open("taxes")
        await city.stand(taxes="PoolFull")

        async def who_holds_it_is_named() -> None:
            seen = await city.api.get("SmallModel", "taxes", city.namespace)
            active = condition(seen, "ScalingActive")
            assert (active["status"], active["reason"]) == ("False", "PoolFull")
            assert f"{city.namespace}/law (Critical)" in active["message"]
            assert condition(seen, "Stalled")["status"] == "False"

        await eventually(who_holds_it_is_named)
        city.idle("law", 1.0)
        await city.api.request(
            "PATCH", KINDS["SmallModel"].path(city.namespace, "law"),
            body={"spec": {"suspend": True}}, content_type="application/merge-patch+json",
        )  # fmt: skip
        await city.stand(taxes="Asleep")
        await city.wake("taxes")
        await city.stand(taxes="Serving")

        async def nothing_more() -> None:
            assert all(c["reason"] != "PoolFull" for c in (await city.status("taxes"))["conditions"])

        await eventually(nothing_more)


async def test_a_critical_model_takes_the_room_of_a_busy_batch_model(city: City, operator: Operator) -> None:
    async with operator():
        for name, priority in (("night", "Batch"), ("parks", "Standard")):
            city.busy(name)
            await city.open(name, priority=priority)
        await city.stand(night="Serving", parks="Serving")
        city.held("rescue")
        await city.open("rescue", priority="Critical")
        await city.stand(rescue="Serving", parks="Serving", night="PoolFull")
        night = await city.api.get("SmallModel", "night", city.namespace)
        assert condition(night, "ScalingActive")["status"] == "False", "so its gateways do not wake it"
        assert f"{city.namespace}/rescue (Critical)" in condition(night, "ScalingActive")["message"]
        assert f"{city.namespace}/rescue (Critical)" in night["status"]["scaling"]["why"]
        live = await city.api.get("Deployment", "night", city.namespace)
        assert live["spec"]["replicas"] == 0, "asked as it is, it waits asleep"
        city.idle("night", 60)
        await city.stand(night="Asleep")
