"""What GitOps sees: after the operator has done its work, the manifest in Git still changes nothing."""

import json

from hack.cluster.controlplane import ControlPlane
from tests.apiserver.conftest import Operator, apply
from tests.apiserver.objects import model
from tests.apiserver.test_reconcile import serving

from smallmodel_operator.api.names import FINALIZER
from smallmodel_operator.cluster.client import Client


async def test_the_manifest_applied_again_changes_nothing(
    api: Client, plane: ControlPlane, namespace: str, operator: Operator
) -> None:
    manifest = model(namespace)
    async with operator():
        await apply(api, manifest, manager="argocd-controller")
        live = await serving(api, namespace)
        answer = plane.kubectl(
            "apply", "--server-side", "--dry-run=server", "--field-manager=argocd-controller", "-o=json", "-f", "-",
            stdin=json.dumps(manifest),
        )  # fmt: skip
        again = json.loads(answer)
    assert again["spec"] == live["spec"]
    assert again["metadata"]["resourceVersion"] == live["metadata"]["resourceVersion"]
    assert live["metadata"].get("annotations", {}) == manifest["metadata"].get("annotations", {})
    assert live["metadata"].get("labels", {}) == manifest["metadata"].get("labels", {})
    assert live["metadata"]["finalizers"] == [FINALIZER]
