"""What this cluster can do, found out once at start by asking it, not by comparing version numbers."""

from typing import Any

from smallmodel_operator.api.names import OPERATOR
from smallmodel_operator.cluster.client import ApiError, Client
from smallmodel_operator.core.facts import Capabilities


class NotInstalled(Exception):  # noqa: N818
    """The CRDs are missing."""


async def discover(client: Client, namespace: str) -> Capabilities:
    """Ask the API server for its version, our kinds, admission policies and image volumes.

    Raises:
        NotInstalled: the CRDs of this release are not in the cluster.
        ApiError: the API server refuses the questions themselves.
    """
    version = await client.request("GET", "/version")
    await _require_crds(client)
    return Capabilities(
        version=str(version.get("gitVersion", "")),
        image_volumes=await _image_volumes(client, namespace),
        admission_policies=await _has(client, "/apis/admissionregistration.k8s.io/v1", "validatingadmissionpolicies"),
    )


async def _require_crds(client: Client) -> None:
    for plural in ("smallmodels", "modelroutes", "computeprofiles", "clusterboundaries"):
        if not await _has(client, "/apis/smallmodel.dev/v1alpha1", plural):
            raise NotInstalled(
                f"the CustomResourceDefinition {plural}.smallmodel.dev is not installed: "
                "`kubectl apply --server-side -k crds/` or set `crds.install=true` in the chart"
            )


async def _has(client: Client, path: str, plural: str) -> bool:
    try:
        answer = await client.request("GET", path)
    except ApiError as error:
        if error.status == 404:
            return False
        raise
    return any(r.get("name") == plural for r in answer.get("resources", []))


async def _image_volumes(client: Client, namespace: str) -> bool:
    """A dry run tells: where the feature is off, the API server drops the volume (1.34), or misses its source."""
    try:
        made = await client.create(_probe(namespace), dryRun="All")
    except ApiError as error:
        if error.status == 422:
            return False
        if error.status in (403, 404):  # quota, policy, namespace: no answer about volumes; the pod will tell
            return True
        raise
    return any("image" in volume for volume in made["spec"]["template"]["spec"].get("volumes", []))


def _probe(namespace: str) -> dict[str, Any]:
    labels = {"app": "image-volume-probe"}
    volume = {"name": "weights", "image": {"reference": "registry.invalid/probe:1", "pullPolicy": "IfNotPresent"}}
    spec = {
        "automountServiceAccountToken": False,
        "securityContext": {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [
            {
                "name": "probe",
                "image": "registry.invalid/probe:1",
                "volumeMounts": [{"name": "weights", "mountPath": "/weights"}],
                "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
            }
        ],
        "volumes": [volume],
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": f"{OPERATOR}-probe", "namespace": namespace},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": spec},
        },
    }
