"""ServingRequest -> Deployment, Service, PodDisruptionBudget as plain dicts."""

from collections.abc import Mapping
from typing import Any, Final

from smallmodel_operator.api.names import (
    ANNOTATION_INPUTS,
    ANNOTATION_REVISION,
    ENGINE_PORT,
    ROLE_SERVER,
    labels,
    selector,
)
from smallmodel_operator.core.facts import Object
from smallmodel_operator.serving import revisions
from smallmodel_operator.serving.probes import STARTUP_SECONDS
from smallmodel_operator.serving.surge import Surge
from smallmodel_operator.serving.types import ServingRequest

SURGE: Final = Surge(in_place=False)


def deployment(request: ServingRequest, live: Object | None, surge: Surge = SURGE) -> dict[str, Any]:
    """The Deployment: one more pod before one less, never fewer than asked for, unless there is no room."""
    revision, recorded = revisions.frozen(request, live)
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": request.name,
            "namespace": request.namespace,
            "labels": labels(request.name, ROLE_SERVER),
            "annotations": {
                ANNOTATION_INPUTS: revisions.inputs(request),
                ANNOTATION_REVISION: str(revision),
                revisions.ANNOTATION_MEMORY: recorded.memory_request,
            },
        },
        "spec": {
            "replicas": request.replicas,
            "revisionHistoryLimit": 2,
            "progressDeadlineSeconds": STARTUP_SECONDS + 60,
            "selector": {"matchLabels": selector(request.name)},
            "strategy": surge.strategy,
            "template": revisions.REVISIONS[revision](recorded),
        },
    }


def address(name: str, namespace: str, gateway: str, labelled: Mapping[str, str]) -> dict[str, Any]:
    """The Service of a model or route: the gateway's under another name."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace, "labels": dict(labelled)},
        "spec": {"type": "ExternalName", "externalName": gateway},
    }


def addresses(name: str, namespace: str, gateway: str) -> tuple[dict[str, Any], ...]:
    """The model's address, which is the gateway's under another name, and the list of its pods for the gateway.

    Args:
        name: the model's.
        namespace: the model's.
        gateway: DNS name of the gateway's Service.
    """
    return (
        address(name, namespace, gateway, labels(name, ROLE_SERVER)),
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": f"{name}-pods", "namespace": namespace, "labels": labels(name, ROLE_SERVER)},
            "spec": {
                "type": "ClusterIP",
                "clusterIP": "None",
                "selector": selector(name),
                "ports": [{"name": "http", "port": ENGINE_PORT, "protocol": "TCP", "targetPort": "http"}],
            },
        },
    )


def disruption_budget(name: str, namespace: str) -> dict[str, Any]:
    """One pod at a time may be evicted. Broken pods may always go: they serve nobody."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": name, "namespace": namespace, "labels": labels(name, ROLE_SERVER)},
        "spec": {
            "maxUnavailable": 1,
            "selector": {"matchLabels": selector(name)},
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    }
