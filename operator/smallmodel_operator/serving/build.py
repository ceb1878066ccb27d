"""ServingRequest -> Deployment, Service, PodDisruptionBudget as plain dicts."""

from typing import Any

from smallmodel_operator.api.names import (
    ANNOTATION_INPUTS,
    ANNOTATION_REVISION,
    ROLE_SERVER,
    SERVICE_PORT,
    labels,
    selector,
)
from smallmodel_operator.core.facts import Object
from smallmodel_operator.serving import llamacpp, revisions
from smallmodel_operator.serving.types import ServingRequest


def deployment(request: ServingRequest, live: Object | None) -> dict[str, Any]:
    """The Deployment: one more pod before one less, never fewer than asked for."""
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
            "progressDeadlineSeconds": llamacpp.STARTUP_SECONDS + 60,
            "selector": {"matchLabels": selector(request.name)},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "template": revisions.REVISIONS[revision](recorded),
        },
    }


def service(name: str, namespace: str) -> dict[str, Any]:
    """The address of the model. Until the gateway exists it selects the pods."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace, "labels": labels(name, ROLE_SERVER)},
        "spec": {
            "type": "ClusterIP",
            "selector": selector(name),
            "ports": [{"name": "http", "port": SERVICE_PORT, "protocol": "TCP", "targetPort": "http"}],
        },
    }


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
