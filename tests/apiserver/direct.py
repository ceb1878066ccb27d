"""What nearly every test asks of the API server as its administrator, without a kubectl for each: those of all tests
together took as much of a processor as the operators that are tested.
"""

import http.client
import json
import ssl
import time
from collections.abc import Iterable
from typing import Any

from hack.cluster.controlplane import ControlPlane

RBAC = "/apis/rbac.authorization.k8s.io/v1"
PATHS = {
    "Namespace": "/api/v1/namespaces",
    "Secret": "/api/v1/namespaces/{}/secrets",
    "ServiceAccount": "/api/v1/namespaces/{}/serviceaccounts",
    "Role": RBAC + "/namespaces/{}/roles",
    "RoleBinding": RBAC + "/namespaces/{}/rolebindings",
    "ClusterRole": RBAC + "/clusterroles",
    "ClusterRoleBinding": RBAC + "/clusterrolebindings",
}
for _kind, _plural in (("", "policies"), ("Binding", "policybindings")):
    PATHS[f"ValidatingAdmissionPolicy{_kind}"] = f"/apis/admissionregistration.k8s.io/v1/validatingadmission{_plural}"
APPLY = "application/apply-patch+yaml"
ATTEMPTS = 20


def put(plane: ControlPlane, objects: Iterable[dict[str, Any]]) -> None:
    """Server-side apply, one after another.

    Raises:
        RuntimeError: one of them was refused; the message is the API server's.
    """
    connection = _connection(plane)
    try:
        for obj in objects:
            meta = obj["metadata"]
            path = f"{PATHS[obj['kind']].format(meta.get('namespace', ''))}/{meta['name']}"
            _ask(plane, connection, "PATCH", f"{path}?fieldManager=kubectl&force=true", obj, APPLY)
    finally:
        connection.close()


def token(plane: ControlPlane, account: str, namespace: str, seconds: int = 3600) -> str:
    """A token of a ServiceAccount, as `kubectl create token` asks for it."""
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": seconds}}
    connection = _connection(plane)
    try:
        path = f"{PATHS['ServiceAccount'].format(namespace)}/{account}/token"
        return str(_ask(plane, connection, "POST", path, body, "application/json")["status"]["token"])
    finally:
        connection.close()


def _connection(plane: ControlPlane) -> http.client.HTTPSConnection:
    trust = ssl.create_default_context(cafile=str(plane.folder / "pki" / "ca.crt"))
    return http.client.HTTPSConnection(plane.address, plane.port, timeout=60, context=trust)


def _ask(
    plane: ControlPlane,
    connection: http.client.HTTPSConnection,
    method: str,
    path: str,
    body: dict[str, Any],
    kind: str,
) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {plane.token}", "Content-Type": kind}
    for _ in range(ATTEMPTS):
        connection.request(method, path, json.dumps(body), headers)
        answer = connection.getresponse()
        text = answer.read()
        if answer.status != http.client.CONFLICT:  # a controller made it at the same moment
            break
        time.sleep(0.05)
    if answer.status >= http.client.MULTIPLE_CHOICES:
        raise RuntimeError(f"{method} {path}: {text.decode()[:500]}")
    return dict(json.loads(text))
