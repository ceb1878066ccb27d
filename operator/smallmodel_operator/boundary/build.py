"""Who reaches a model pod and what it reaches: NetworkPolicies as plain dicts, from the table."""

from collections.abc import Sequence
from typing import Any

from smallmodel_operator.api.names import LABEL_MODEL, LABEL_ROLE, ROLE_DOWNLOAD, ROLE_SERVER, labels
from smallmodel_operator.boundary.rules import View, egress, ingress
from smallmodel_operator.boundary.source import download_rules
from smallmodel_operator.boundary.table import DOWNLOADS, MODELS


def pods_policy(name: str, namespace: str, gateway_namespace: str) -> dict[str, Any]:
    """Every pod of the model, its Jobs, too: no way out at all; in come the gateways and the operator."""
    view = View(inside_release=False, release_namespace=gateway_namespace)
    return _policy(
        name,
        namespace,
        {LABEL_MODEL: name},
        {
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [rule for _, rule in ingress(MODELS, view)],
            # Said, though it is the default: a way out that someone adds by hand is then a difference, and is closed.
            "egress": [rule for _, rule in egress(MODELS, view)],
        },
    )


def download_policy(
    name: str,
    namespace: str,
    uri: str,
    cluster_domain: str,
    cluster_networks: Sequence[str],
    release_namespace: str,
    source: str = "",
) -> dict[str, Any]:
    """The one pod with a way out: the download of public weights, towards its source. It never sees a prompt.

    In comes the operator, to ask how far it is. `source`: see `download_rules`.
    """
    view = View(inside_release=False, release_namespace=release_namespace)
    return _policy(
        f"{name}-download",
        namespace,
        {LABEL_MODEL: name, LABEL_ROLE: ROLE_DOWNLOAD},
        {
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [rule for _, rule in ingress(DOWNLOADS, view)],
            "egress": download_rules(uri, cluster_domain, cluster_networks, source),
        },
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
