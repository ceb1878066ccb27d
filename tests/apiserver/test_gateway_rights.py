"""A gateway's token on the real API server: it wakes models from 0 to 1, and changes nothing else anywhere."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hack.cluster.controlplane import ControlPlane
from tests.apiserver import direct
from tests.apiserver.conftest import connect, eventually
from tests.apiserver.rights import GATEWAY, as_operator, gateway_rights

from smallmodel_operator.cluster.client import ApiError, Client
from smallmodel_operator.cluster.fence import Fence
from smallmodel_operator.cluster.kinds import KINDS
from smallmodel_operator.gateway.scale import NotWoken, wake

pytestmark = pytest.mark.both_minors
OURS = {"smallmodel.dev/model": "bot", "smallmodel.dev/role": "server"}


def deployment(namespace: str, name: str, replicas: int, labels: dict[str, str]) -> dict[str, Any]:
    """Paused, so that no pod is made of it."""
    container = {"name": "x", "image": "x"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    spec = {"replicas": replicas, "paused": True, "selector": {"matchLabels": labels}, "template": template}
    meta = {"name": name, "namespace": namespace}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": spec}


async def create(api: Client, obj: dict[str, Any]) -> None:
    """Create a Deployment and let its controller have its say, so that nobody writes to it any more."""
    await api.create(obj)

    async def seen() -> None:
        found = await api.get("Deployment", obj["metadata"]["name"], obj["metadata"]["namespace"])
        assert found is not None
        assert found.get("status", {}).get("observedGeneration")

    await eventually(seen)


@pytest.fixture
async def gateway(plane: ControlPlane, namespace: str, tmp_path: Path, api: Client) -> AsyncIterator[Client]:
    """A client with a gateway's token and the chart's rights; the admission policy is in force."""
    direct.put(plane, gateway_rights(namespace, clusterwide=True))
    kubeconfig = as_operator(plane, namespace, tmp_path / "gateway.kubeconfig", GATEWAY)
    client = await connect(kubeconfig, Fence.open())

    async def in_force() -> None:
        # A dry run: before the policy works, nothing may be changed by this.
        said = ""
        try:
            await scale(client, namespace, "canary", 2, dryRun="All")
        except ApiError as error:
            said = error.message
        assert "from 0 to 1 only" in said

    try:
        await create(api, deployment(namespace, "canary", 3, OURS))
        await eventually(in_force)
        yield client
    finally:
        await client.close()


async def scale(client: Client, namespace: str, name: str, replicas: int, /, status: Any = None, **query: str) -> Any:
    body = {"spec": {"replicas": replicas}} | ({"status": status} if status else {})
    path = KINDS["Deployment"].path(namespace, name, "scale")
    return await client.request("PATCH", path, query=query, body=body, content_type="application/merge-patch+json")


async def replicas(api: Client, namespace: str, name: str) -> int:
    found = await api.get("Deployment", name, namespace)
    assert found is not None
    return int(found["spec"]["replicas"])


async def test_it_wakes_a_model(gateway: Client, api: Client, namespace: str) -> None:
    await create(api, deployment(namespace, "bot", 0, OURS))
    assert await wake(gateway, namespace, "bot") is True
    assert await replicas(api, namespace, "bot") == 1
    assert await wake(gateway, namespace, "bot") is False


@pytest.mark.parametrize(("before", "after"), [(1, 0), (0, 2), (1, 2), (3, 1), (1, 1), (0, 0)])
async def test_every_other_step_is_refused(
    gateway: Client, api: Client, namespace: str, before: int, after: int
) -> None:
    await create(api, deployment(namespace, "bot", before, OURS))
    with pytest.raises(ApiError, match="the gateway may scale a Deployment from 0 to 1 only") as refused:
        await scale(gateway, namespace, "bot", after)
    assert refused.value.status == 403
    assert await replicas(api, namespace, "bot") == before


@pytest.mark.parametrize(
    "labels", [{"app": "shop"}, {"app": "shop", "not.smallmodel.dev/model": "bot"}, {"smallmodel.dev/models": "bot"}]
)
async def test_a_foreign_deployment_is_refused(
    gateway: Client, api: Client, namespace: str, labels: dict[str, str]
) -> None:
    await create(api, deployment(namespace, "shop", 0, labels))
    with pytest.raises(NotWoken, match="Deployments of models only"):
        await wake(gateway, namespace, "shop")
    # Neither by claiming to select what it does not.
    with pytest.raises(ApiError, match="Deployments of models only"):
        await scale(gateway, namespace, "shop", 1, status={"selector": "smallmodel.dev/model=bot", "replicas": 0})
    assert await replicas(api, namespace, "shop") == 0


async def test_others_scale_as_before(gateway: Client, api: Client, namespace: str) -> None:
    """The policy is about the gateway: the administrator's patch of the same objects passes."""
    assert gateway is not api
    await scale(api, namespace, "canary", 5)
    assert await replicas(api, namespace, "canary") == 5


async def test_no_other_write_and_no_other_secret(gateway: Client, api: Client, namespace: str) -> None:
    path = KINDS["Deployment"].path(namespace, "canary")
    for method, where, body in (
        ("PATCH", path, {"spec": {"replicas": 1}}),
        ("DELETE", path, None),
        ("PUT", f"{path}/scale", {"spec": {"replicas": 1}}),
        ("PATCH", KINDS["SmallModel"].path(namespace, "bot"), {"spec": {"replicas": 1}}),
        ("PATCH", KINDS["ClusterBoundary"].path(None, "cluster"), {"spec": {"inference": "Allowed"}}),
        ("GET", KINDS["Secret"].path(namespace, "other"), None),
        ("GET", KINDS["Secret"].path(namespace), None),
        ("GET", KINDS["Pod"].path(namespace), None),
        ("GET", KINDS["Deployment"].path(namespace), None),
        ("GET", KINDS["ConfigMap"].path(namespace), None),
        ("PATCH", KINDS["ConfigMap"].path(namespace, "kube-root-ca.crt"), {"data": {}}),
    ):
        with pytest.raises(ApiError) as refused:
            await gateway.request(method, where, body=body, content_type="application/merge-patch+json")
        assert refused.value.status == 403, (method, where)
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": f"{GATEWAY}-keys", "namespace": namespace}}
    await api.create(secret)
    one = {"fieldSelector": f"metadata.name={GATEWAY}-keys"}
    found = await gateway.request("GET", KINDS["Secret"].path(namespace), query=one)
    assert [o["metadata"]["name"] for o in found["items"]] == [f"{GATEWAY}-keys"]
