"""The chart's own RBAC, rendered by helm, so that every test runs with it and no more."""

import functools
import json
import subprocess
from pathlib import Path
from typing import Any

import yaml
from hack.cluster.binaries import program
from hack.cluster.controlplane import ControlPlane

CHART = Path(__file__).parents[2] / "charts" / "smallmodel-operator"
ACCOUNT = "smallmodel-operator"
SECOND = ("operator-a", "operator-b")
"""Further accounts with the same rights: two operators of one installation that the audit log can tell apart."""
_PLACE = "place-holder-namespace"


@functools.cache
def _rendered(*arguments: str) -> str:
    command = [
        program("helm"), "template", "smallmodel", str(CHART), "--namespace", _PLACE,
        "-f", str(CHART / "ci" / "minimal-values.yaml"), "--set", "crds.install=false", *arguments,
    ]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


def chart_rights(namespace: str, *, clusterwide: bool = False) -> list[dict[str, Any]]:
    """ServiceAccount, Roles and bindings of an installation in `namespace` that serves it (or all)."""
    arguments = () if clusterwide else ("--set", f"watchNamespaces={{{_PLACE}}}")
    text = _rendered(*arguments).replace(_PLACE, namespace)
    kinds = {"ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"}
    objects = [o for o in yaml.safe_load_all(text) if o and o["kind"] in kinds and not _is_hook(o)]
    for obj in objects:
        # The chart's names are fixed; each test is an installation of its own in one cluster.
        if obj["kind"].startswith("Cluster"):
            obj["metadata"]["name"] += f"-{namespace}"
        if obj["kind"] == "ClusterRoleBinding":
            obj["roleRef"]["name"] += f"-{namespace}"
        if obj["kind"].endswith("Binding"):
            obj["subjects"] += [{"kind": "ServiceAccount", "name": s, "namespace": namespace} for s in SECOND]
    accounts = [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": s, "namespace": namespace}} for s in SECOND
    ]
    return [*objects, *accounts]


def _is_hook(obj: dict[str, Any]) -> bool:
    return "helm.sh/hook" in (obj["metadata"].get("annotations") or {})


def as_operator(plane: ControlPlane, namespace: str, where: Path, account: str = ACCOUNT) -> Path:
    """A kubeconfig for a ServiceAccount, with a token asked for now."""
    token = plane.kubectl("create", "token", account, "-n", namespace, "--duration=1h").strip()
    config = json.loads(plane.kubeconfig.read_text())
    config["users"] = [{"name": "operator", "user": {"token": token}}]
    config["contexts"][0]["context"]["user"] = "operator"
    where.write_text(json.dumps(config))
    where.chmod(0o600)
    return where
