"""The way out on a real API server, with the chart's rights: it comes with a target, and goes with a seal."""

import base64
import json
from typing import Any

import pytest
from hack.cluster.controlplane import ControlPlane
from tests.apiserver.conftest import Operator, apply, eventually
from tests.apiserver.objects import condition, model, stands
from tests.apiserver.rights import egress_rights
from tests.apiserver.test_routes import delete

from smallmodel_operator.api.names import API_VERSION, BOUNDARY, EGRESS
from smallmodel_operator.boundary.declared import load
from smallmodel_operator.boundary.egress_build import CREDENTIALS
from smallmodel_operator.cluster.client import Client

URL = "https://api.example.com/v1"
KEYED = {"url": URL, "model": "big-1", "apiKeySecretRef": {"name": "cloud", "key": "key"}}


def hybrid(namespace: str, **boundary: Any) -> dict[str, Any]:
    trusted = [{"name": "here", "namespace": namespace, "labels": ["public"]}]
    return {
        "apiVersion": API_VERSION,
        "kind": "ModelRoute",
        "metadata": {"name": "desk", "namespace": namespace},
        "spec": {
            "targets": [
                {"name": "small", "smallModelRef": {"name": "bot"}},
                {"name": "cloud", "external": KEYED},
            ],
            "default": "small",
            "boundary": {"external": "WhenClean", "trusted": trusted, **boundary},
        },
    }


def secret(namespace: str, value: str) -> dict[str, Any]:
    meta = {"name": "cloud", "namespace": namespace}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "stringData": {"key": value}}


def boundary(namespace: str, **fields: Any) -> dict[str, Any]:
    spec = {"namespaces": [{"name": namespace, **fields}]}
    return {"apiVersion": API_VERSION, "kind": "ClusterBoundary", "metadata": {"name": BOUNDARY}, "spec": spec}


class WayOut:
    """What is in the egress's namespace."""

    def __init__(self, api: Client, plane: ControlPlane, namespace: str) -> None:
        self._api, self._plane, self._namespace = api, plane, namespace
        self.settings: dict[str, str] = {}

    def install(self) -> None:
        """As the chart does."""
        items = egress_rights(self._namespace)
        [authorities] = [o["metadata"]["name"] for o in items if o["kind"] == "ConfigMap"]
        objects = {"apiVersion": "v1", "kind": "List", "items": items}
        self._plane.kubectl("apply", "--server-side", "--force-conflicts", "-f-", stdin=json.dumps(objects))
        self.settings = {"egress_image": "registry.test/slm/gateway:1", "egress_authorities": authorities}

    async def hosts(self) -> set[str]:
        found = await self._api.get("ConfigMap", EGRESS, EGRESS)
        return {host.name for host in load(found["data"]["hosts.json"])} if found else set()

    async def credentials(self) -> dict[str, str]:
        found = await self._api.get("Secret", CREDENTIALS, EGRESS) or {}
        return {k: base64.b64decode(v).decode() for k, v in (found.get("data") or {}).items()}

    async def versions(self) -> dict[str, Any]:
        """What was written of each object, in their order."""
        kinds = ("ServiceAccount", "NetworkPolicy", "Service", "Deployment", "Secret", "ConfigMap")
        found = [(kind, o) for kind in kinds for o in await self._api.list(kind, EGRESS)]
        return {
            f"{kind}/{o['metadata']['name']}": o["metadata"].get("generation") or o["metadata"]["resourceVersion"]
            for kind, o in found
            if o["metadata"].get("labels", {}).get("app.kubernetes.io/managed-by") == "smallmodel-operator"
        }


@pytest.fixture
def way_out(api: Client, plane: ControlPlane, namespace: str) -> WayOut:
    return WayOut(api, plane, namespace)


async def said(api: Client, namespace: str, reason: str, ready: bool, target: str) -> dict[str, Any]:
    async def check() -> dict[str, Any]:
        seen = stands(await api.get("ModelRoute", "desk", namespace), BoundaryEnforced=reason, Ready="Serving")
        stood = {t["name"]: (t["ready"], t["reason"]) for t in seen["status"]["targets"]}
        assert stood["cloud"] == (ready, target), stood
        assert stood["small"][0]
        return seen

    return dict(await eventually(check))


async def test_without_the_charts_egress_nothing_leaves_and_it_says_so(
    api: Client, namespace: str, operator: Operator
) -> None:
    async with operator():
        await apply(api, model(namespace), hybrid(namespace))
        seen = await said(api, namespace, "EgressNotInstalled", False, "EgressNotInstalled")
        assert "`egress.enabled`" in condition(seen, "Stalled")["message"]
        await apply(api, hybrid(namespace, detectors=["Pii", "Phi"]))
        await said(api, namespace, "RecognizerMissing", False, "RecognizerMissing")
        await apply(api, hybrid(namespace, patterns=[{"name": "case", "regex": "(?<=K)[0-9]+"}]))
        seen = await said(api, namespace, "PatternInvalid", False, "PatternInvalid")
        assert "'case'" in condition(seen, "BoundaryEnforced")["message"]
        await apply(api, hybrid(namespace, external="Denied"))
        await said(api, namespace, "ExternalDenied", False, "ExternalDenied")


async def test_it_comes_with_a_target_and_its_key_and_goes_with_a_seal(
    api: Client, namespace: str, operator: Operator, way_out: WayOut
) -> None:
    way_out.install()
    try:
        async with operator(**way_out.settings):
            await apply(api, model(namespace), hybrid(namespace))
            seen = await said(api, namespace, "SecretNotFound", False, "SecretNotFound")
            assert "Secret 'cloud' does not exist" in condition(seen, "Stalled")["message"]
            assert await way_out.versions() == {}, "a host without its credential would keep Envoy from starting"

            await apply(api, secret(namespace, "sk-1"))
            seen = await said(api, namespace, "Enforced", True, "Serving")
            assert condition(seen, "Stalled")["status"] == "False"
            assert await way_out.hosts() == {f"{namespace}/desk/cloud"}
            assert await way_out.credentials() == {f"{namespace}.desk.cloud": "sk-1"}
            assert "sk-1" not in json.dumps(seen)
            [pod] = await api.list("Pod", EGRESS)
            assert pod["spec"]["serviceAccountName"] == EGRESS

            await apply(api, boundary(namespace, external="Denied"))
            seen = await said(api, namespace, "ExternalDenied", False, "ExternalDenied")
            assert "`external: Denied`" in condition(seen, "BoundaryEnforced")["message"]

            async def gone() -> None:
                left = await way_out.versions()
                assert set(left) <= {f"NetworkPolicy/{EGRESS}-default-deny"}, left
                assert await api.list("Pod", EGRESS) == []

            await eventually(gone)
            await apply(api, boundary(namespace))
            await said(api, namespace, "Enforced", True, "Serving")
            await delete(api, "ModelRoute", "desk", namespace)
            await eventually(gone)
    finally:
        if live := await api.get("ClusterBoundary", BOUNDARY):
            await api.delete("ClusterBoundary", BOUNDARY, "", live["metadata"]["uid"])


async def test_an_operator_that_starts_again_leaves_it_as_it_is(
    api: Client, namespace: str, operator: Operator, way_out: WayOut
) -> None:
    way_out.install()
    await apply(api, model(namespace), secret(namespace, "sk-1"), hybrid(namespace))
    async with operator(**way_out.settings):
        await said(api, namespace, "Enforced", True, "Serving")
        before = await way_out.versions()
        assert len(before) == 7
    async with operator(**way_out.settings):
        await apply(api, hybrid(namespace, denyTerms=["Project Heron"]))
        await said(api, namespace, "Enforced", True, "Serving")
        assert await way_out.versions() == before, "what is open through it was not cut"
        await delete(api, "ModelRoute", "desk", namespace)

        async def gone() -> None:
            assert await way_out.hosts() == set()

        await eventually(gone)
