"""The egress's objects as plain dicts: all in its own namespace, and none while nothing may leave. Pure.

One pod, and never two at a time: what was used is remembered there. Its end is the seal: whatever it has open is cut
when the kubelet ends it, and nothing else in the cluster has a way out for a request.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from smallmodel_operator.api.names import (
    ANNOTATION_INPUTS,
    EGRESS,
    EGRESS_HTTP_PORT,
    EGRESS_PORT,
    LABEL_MANAGED_BY,
    OPERATOR,
    short_hash,
)
from smallmodel_operator.boundary.declared import Declared, dump
from smallmodel_operator.boundary.rules import View, egress, ingress, ports
from smallmodel_operator.boundary.seal import Boundary
from smallmodel_operator.boundary.source import blocks_outside
from smallmodel_operator.boundary.table import EGRESS_ROWS, HOSTS, LEAVING, Port
from smallmodel_operator.core.pod import container_security, pod_security

CREDENTIALS: Final = f"{EGRESS}-credentials"
"""Secret there with one entry for each declared host that has a credential, named as `Declared.file` says."""
GRACE_SECONDS: Final = 2
"""From the end of its pod to the end of its processes, at most; a signal ends Envoy at once."""
_FOLDER: Final = "/etc/smallmodel"
_RUN: Final = {"name": "run", "mountPath": "/run/smallmodel"}


@dataclass(frozen=True, slots=True)
class Wish:
    """What the egress is made of. `credentials`: a word that differs when the Secret's content does."""

    image: str
    hosts: tuple[Declared, ...]
    keys: tuple[str, ...]
    """Public keys of who signs passes."""
    authorities: str
    """ConfigMap in its namespace whose `ca.crt` says who declared hosts are."""
    release_namespace: str
    credentials: str = ""
    cluster_networks: tuple[str, ...] = ()
    boundary: Boundary = field(default_factory=Boundary)


def reachable(hosts: Sequence[Declared], boundary: Boundary) -> tuple[Declared, ...]:
    """Those a seal does not forbid: of namespaces in which inference is not stopped and the outside not denied."""
    return tuple(sorted((h for h in hosts if boundary.leads_outside(h.name.partition("/")[0])), key=lambda h: h.name))


def objects(wish: Wish) -> tuple[dict[str, Any], ...]:
    """All of them; none where no host may be reached."""
    hosts = reachable(wish.hosts, wish.boundary)
    if not hosts:
        return ()
    return (_account(), _config_map(hosts), *policies(wish, hosts), _service(), _deployment(wish, hosts))


def policies(wish: Wish, hosts: Sequence[Declared]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Nothing for any pod of the namespace; for the egress its rows of the table."""
    view = View(inside_release=False, release_namespace=wish.release_namespace)
    numbers = [Port(n) for n in sorted({host.port for host in hosts})]
    out = [rule for _, rule in egress(LEAVING, view, tuple(r for r in EGRESS_ROWS if r.whom is not HOSTS))]
    away = {"to": [{"ipBlock": b} for b in blocks_outside(wish.cluster_networks)], "ports": ports(numbers)}
    closed = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"], "ingress": [], "egress": []}
    opened = {
        "podSelector": {"matchLabels": dict(LEAVING.labels)},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [rule for _, rule in ingress(LEAVING, view, EGRESS_ROWS)],
        "egress": [*out, away],
    }
    return (
        _object("networking.k8s.io/v1", "NetworkPolicy", f"{EGRESS}-default-deny", spec=closed),
        _object("networking.k8s.io/v1", "NetworkPolicy", EGRESS, spec=opened),
    )


def _object(api: str, kind: str, name: str = EGRESS, **fields: Any) -> dict[str, Any]:
    meta = {"name": name, "namespace": EGRESS, "labels": {**LEAVING.labels, LABEL_MANAGED_BY: OPERATOR}}
    return {"apiVersion": api, "kind": kind, "metadata": meta, **fields}


def _account() -> dict[str, Any]:
    """An identity without rights, and without a token."""
    return _object("v1", "ServiceAccount", automountServiceAccountToken=False)


def _config_map(hosts: Sequence[Declared]) -> dict[str, Any]:
    return _object("v1", "ConfigMap", data={"hosts.json": dump(hosts)})


def _service() -> dict[str, Any]:
    """Headless: gateways find the pod by its EndpointSlice, for they may not ask DNS."""
    ports = [{"name": "egress", "port": EGRESS_PORT, "targetPort": "egress", "protocol": "TCP"}]
    return _object("v1", "Service", spec={"clusterIP": "None", "selector": dict(LEAVING.labels), "ports": ports})


def _deployment(wish: Wish, hosts: Sequence[Declared]) -> dict[str, Any]:
    # What Envoy starts with is all it ever knows: for other hosts or credentials it starts anew.
    inputs = {ANNOTATION_INPUTS: short_hash([dump(hosts), wish.keys, wish.credentials])}
    template = {
        "metadata": {"labels": {**LEAVING.labels, LABEL_MANAGED_BY: OPERATOR}, "annotations": inputs},
        "spec": _pod(wish, hosts),
    }
    spec = {
        "replicas": 1,
        "revisionHistoryLimit": 0,
        "strategy": {"type": "Recreate"},
        "selector": {"matchLabels": dict(LEAVING.labels)},
        "template": template,
    }
    return _object("apps/v1", "Deployment", spec=spec)


def _pod(wish: Wish, hosts: Sequence[Declared]) -> dict[str, Any]:
    secret = any(host.credential for host in hosts)
    return {
        "serviceAccountName": EGRESS,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "securityContext": {**pod_security(), "fsGroup": pod_security()["runAsGroup"]},
        # Of a declared host exactly its name is asked for, none with the cluster's domains behind it.
        "dnsConfig": {"options": [{"name": "ndots", "value": "1"}]},
        "initContainers": [_prepare(wish), _checker(wish)],
        "containers": [_envoy(wish, secret)],
        "volumes": [
            {"name": "run", "emptyDir": {"medium": "Memory", "sizeLimit": "16Mi"}},
            {"name": "hosts", "configMap": {"name": EGRESS}},
            {"name": "authorities", "configMap": {"name": wish.authorities}},
            *([{"name": "credentials", "secret": {"secretName": CREDENTIALS, "defaultMode": 0o440}}] if secret else []),
        ],
    }


def _prepare(wish: Wish) -> dict[str, Any]:
    return _ours(wish, "prepare")


def _checker(wish: Wish) -> dict[str, Any]:
    """A sidecar in Kubernetes' sense: it is there before Envoy."""
    return {
        **_ours(wish, "run"),
        "name": "checker",
        "restartPolicy": "Always",
        "ports": [{"name": "http", "containerPort": EGRESS_HTTP_PORT, "protocol": "TCP"}],
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": "http"}, "periodSeconds": 2, "timeoutSeconds": 2},
        "livenessProbe": {"httpGet": {"path": "/healthz", "port": "http"}, "periodSeconds": 10, "timeoutSeconds": 5},
    }


def _ours(wish: Wish, verb: str) -> dict[str, Any]:
    memory = {"resourceFieldRef": {"containerName": "envoy", "resource": "limits.memory", "divisor": "0"}}
    env = [
        {"name": "SLM_EGRESS_KEYS", "value": ",".join(wish.keys)},
        {"name": "SLM_EGRESS_ENVOY_MEMORY", "valueFrom": memory},
    ]
    return {
        "name": verb,
        "image": wish.image,
        "args": ["egress", verb],
        "env": env,
        "resources": {"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"memory": "256Mi"}},
        "securityContext": container_security(),
        "volumeMounts": [_RUN, _mount("hosts")],
    }


def _envoy(wish: Wish, secret: bool) -> dict[str, Any]:
    """The only container that has credentials; it is never told to log more than warnings, for headers have them."""
    words = ["-c", "/run/smallmodel/bootstrap.json", "--concurrency", "2", "--disable-hot-restart", "-l", "warning"]
    return {
        "name": "envoy",
        "image": wish.image,
        "command": ["envoy"],
        "args": words,
        "ports": [{"name": "egress", "containerPort": EGRESS_PORT, "protocol": "TCP"}],
        "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "256Mi"}},
        "securityContext": container_security(),
        "volumeMounts": [_RUN, _mount("authorities"), *([_mount("credentials")] if secret else [])],
    }


def _mount(name: str) -> dict[str, Any]:
    return {"name": name, "mountPath": f"{_FOLDER}/{name}", "readOnly": True}
