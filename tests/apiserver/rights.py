"""The chart's own RBAC, rendered by helm, so that every test runs with it and no more."""

import functools
import json
import subprocess
from pathlib import Path
from typing import Any

import yaml
from hack.cluster.binaries import program
from hack.cluster.controlplane import ControlPlane
from tests.apiserver import direct

from smallmodel_operator.api.names import EGRESS

CHART = Path(__file__).parents[2] / "charts" / "smallmodel-operator"
ACCOUNT = "smallmodel-operator"
GATEWAY = "smallmodel-gateway"
ERASURE = "smallmodel-erasure"
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
    """ServiceAccount, Roles and bindings of the operator of an installation in `namespace` that serves it (or all)."""
    objects = _rights(namespace, clusterwide=clusterwide, of=ACCOUNT)
    for obj in objects:
        if obj["kind"].endswith("Binding"):
            obj["subjects"] += [{"kind": "ServiceAccount", "name": s, "namespace": namespace} for s in SECOND]
    accounts = [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": s, "namespace": namespace}} for s in SECOND
    ]
    return [*objects, *accounts]


def gateway_rights(namespace: str, *, clusterwide: bool = False) -> list[dict[str, Any]]:
    """The same of its gateways, with the admission policy that narrows them."""
    return _rights(namespace, clusterwide=clusterwide, of=GATEWAY)


def erasure_rights(namespace: str) -> list[dict[str, Any]]:
    """The Secrets with subjects' keys, the Role for who erases, and an account that is bound to it, as by an
    administrator."""
    found = [o for o in yaml.load_all(_rendered().replace(_PLACE, namespace), yaml.CSafeLoader) if o]
    secrets = [o for o in found if o["kind"] == "Secret" and "subject-keys" in o["metadata"]["name"]]
    role = [o for o in found if (o["kind"], o["metadata"]["name"]) == ("Role", ERASURE)]
    meta = {"name": ERASURE, "namespace": namespace}
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": meta,
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": ERASURE},
        "subjects": [{"kind": "ServiceAccount", **meta}],
    }
    return [*secrets, *role, binding, {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta}]


def _rights(namespace: str, *, clusterwide: bool, of: str) -> list[dict[str, Any]]:
    arguments = () if clusterwide else ("--set", f"watchNamespaces={{{_PLACE}}}")
    text = _rendered(*arguments).replace(_PLACE, namespace)
    kinds = {"ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"}
    kinds |= {"ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"}
    found = [o for o in yaml.load_all(text, yaml.CSafeLoader) if o and o["kind"] in kinds and not _is_hook(o)]
    objects = [o for o in found if o["metadata"]["name"].startswith(of)]
    for obj in objects:
        # The chart's names are fixed; each test is an installation of its own in one cluster.
        if obj["kind"].startswith(("Cluster", "Validating")):
            obj["metadata"]["name"] += f"-{namespace}"
        if obj["kind"] == "ClusterRoleBinding":
            obj["roleRef"]["name"] += f"-{namespace}"
        if obj["kind"] == "ValidatingAdmissionPolicyBinding":
            obj["spec"]["policyName"] += f"-{namespace}"
    return objects


AUTHORITIES = "-----BEGIN CERTIFICATE-----"
"""What the chart asks of them; nothing here reads them."""


def egress_rights(namespace: str) -> list[dict[str, Any]]:
    """What the chart's `egress.enabled` makes for an installation in `namespace`; the egress's own namespace has one
    name in a cluster, so the rights of several tests stand beside each other there."""
    text = _rendered("--set", "egress.enabled=true", "--set", f"egress.authorities={AUTHORITIES}")
    found = [o for o in yaml.load_all(text.replace(_PLACE, namespace), yaml.CSafeLoader) if o]
    space = [o for o in found if (o["kind"], o["metadata"]["name"]) == ("Namespace", EGRESS)]
    objects = [o for o in found if o["metadata"].get("namespace") == EGRESS]
    for obj in objects:
        if obj["kind"] in ("Role", "RoleBinding"):
            obj["metadata"]["name"] += f"-{namespace}"
        if obj["kind"] == "RoleBinding":
            obj["roleRef"]["name"] += f"-{namespace}"
    return [*space, *objects]


def _is_hook(obj: dict[str, Any]) -> bool:
    return "helm.sh/hook" in (obj["metadata"].get("annotations") or {})


def as_operator(plane: ControlPlane, namespace: str, where: Path, account: str = ACCOUNT) -> Path:
    """A kubeconfig for a ServiceAccount, with a token asked for now."""
    token = direct.token(plane, account, namespace)
    config = json.loads(plane.kubeconfig.read_text())
    config["users"] = [{"name": "operator", "user": {"token": token}}]
    config["contexts"][0]["context"]["user"] = "operator"
    where.write_text(json.dumps(config))
    where.chmod(0o600)
    return where
