"""Who reaches a model pod and what it reaches: NetworkPolicies as plain dicts."""

from typing import Any

from smallmodel_operator.api.names import (
    ENGINE_PORT,
    LABEL_MODEL,
    LABEL_ROLE,
    ROLE_DOWNLOAD,
    ROLE_SERVER,
    labels,
)


def pods_policy(name: str, namespace: str, gateway_namespace: str) -> dict[str, Any]:
    """Every pod of the model: no way out at all; in come the gateways and the operator."""
    system = {"matchLabels": {"kubernetes.io/metadata.name": gateway_namespace}}
    callers = {"key": "app.kubernetes.io/component", "operator": "In", "values": ["gateway", "operator"]}
    peer = {"namespaceSelector": system, "podSelector": {"matchExpressions": [callers]}}
    return _policy(
        name,
        namespace,
        {LABEL_MODEL: name},
        {
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [{"from": [peer], "ports": [{"protocol": "TCP", "port": ENGINE_PORT}]}],
            # Said, though it is the default: a way out that someone adds by hand is then a difference, and is closed.
            "egress": [],
        },
    )


def download_policy(name: str, namespace: str) -> dict[str, Any]:
    """The one pod with a way out: the download of public weights, to DNS and HTTPS. It never sees a prompt."""
    dns = [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}]
    return _policy(
        f"{name}-download",
        namespace,
        {LABEL_MODEL: name, LABEL_ROLE: ROLE_DOWNLOAD},
        {"policyTypes": ["Egress"], "egress": [{"ports": dns}, {"ports": [{"protocol": "TCP"}]}]},
    )


def _policy(name: str, namespace: str, pods: dict[str, str], spec: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": namespace, "labels": labels(_model(pods), ROLE_SERVER)},
        "spec": {"podSelector": {"matchLabels": pods}, **spec},
    }


def _model(pods: dict[str, str]) -> str:
    return pods[LABEL_MODEL]
