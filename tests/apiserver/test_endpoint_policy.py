"""Who may say where prompts go: the admission policy on EndpointSlices of models, on the real API server."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hack.cluster.controlplane import ControlPlane
from tests.apiserver.conftest import connect, eventually
from tests.apiserver.rights import as_operator, gateway_rights
from tests.apiserver.test_gateway_agent import UP, endpoint_slice

from smallmodel_operator.cluster.client import ApiError, Client
from smallmodel_operator.cluster.fence import Fence

pytestmark = pytest.mark.both_minors
TENANT = "tenant"


def tenant(namespace: str) -> list[dict[str, Any]]:
    """An account that may write every EndpointSlice of its namespace: as much as a namespace can give."""
    meta = {"name": TENANT, "namespace": namespace}
    rule = {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["*"]}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": TENANT}
    rbac = "rbac.authorization.k8s.io/v1"
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta},
        {"apiVersion": rbac, "kind": "Role", "metadata": meta, "rules": [rule]},
        {
            "apiVersion": rbac,
            "kind": "RoleBinding",
            "metadata": meta,
            "roleRef": role,
            "subjects": [{"kind": "ServiceAccount", **meta}],
        },
    ]


def plain(namespace: str, name: str) -> dict[str, Any]:
    """A slice of nobody's model."""
    one = endpoint_slice(namespace, name, a=UP)
    one["metadata"]["labels"] = {"kubernetes.io/service-name": name}
    return one


def path(namespace: str, name: str = "") -> str:
    base = f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices"
    return f"{base}/{name}" if name else base


@pytest.fixture
async def writer(plane: ControlPlane, namespace: str, tmp_path: Path, api: Client) -> AsyncIterator[Client]:
    """A client with the tenant's token; the policy is in force."""
    items = {"apiVersion": "v1", "kind": "List", "items": [*gateway_rights(namespace), *tenant(namespace)]}
    plane.kubectl("apply", "--server-side", "-f-", stdin=json.dumps(items))
    client = await connect(as_operator(plane, namespace, tmp_path / "tenant.kubeconfig", TENANT), Fence.open())

    async def in_force() -> None:
        said = ""
        try:
            await create(client, endpoint_slice(namespace, "probe", a=UP), dryRun="All")
        except ApiError as error:
            said = error.message
        assert "say where prompts go" in said

    try:
        await eventually(in_force, timeout=30)
        yield client
    finally:
        await client.close()


async def create(client: Client, obj: dict[str, Any], **query: str) -> None:
    await client.request("POST", path(obj["metadata"]["namespace"]), query=query, body=obj)


async def patch(client: Client, obj: dict[str, Any], labels: dict[str, Any]) -> None:
    where = path(obj["metadata"]["namespace"], obj["metadata"]["name"])
    await client.request(
        "PATCH", where, body={"metadata": {"labels": labels}}, content_type="application/merge-patch+json"
    )


async def test_a_tenant_names_no_endpoints_of_a_model(writer: Client, api: Client, namespace: str) -> None:
    one = endpoint_slice(namespace, a=UP)
    with pytest.raises(ApiError, match="say where prompts go; Kubernetes writes them from pods, nobody else"):
        await create(writer, one)
    await create(api, one)  # as Kubernetes' controllers, whose rights are everywhere
    with pytest.raises(ApiError, match="say where prompts go"):
        await patch(writer, one, {"note": "mine"})
    with pytest.raises(ApiError, match="say where prompts go"):
        await patch(writer, one, {"smallmodel.dev/model": None})


async def test_neither_by_a_label_put_on_later(writer: Client, namespace: str) -> None:
    other = plain(namespace, "shop")
    await create(writer, other)
    with pytest.raises(ApiError, match="say where prompts go"):
        await patch(writer, other, {"smallmodel.dev/model": "bot"})


async def test_endpoints_of_nobodys_model_are_their_owners(writer: Client, namespace: str) -> None:
    other = plain(namespace, "shop")
    await create(writer, other)
    await patch(writer, other, {"note": "mine"})
    await writer.request("DELETE", path(namespace, other["metadata"]["name"]))
