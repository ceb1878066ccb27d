"""A new version that is tried before it takes traffic: the pods' own template, in a Job no Service selects."""

from collections.abc import Iterable
from typing import Any, Final

from smallmodel_operator.api.names import LABEL_ARTIFACT, LABEL_ROLE, ROLE_CANDIDATE, digest, labels, step_name
from smallmodel_operator.core.facts import Object
from smallmodel_operator.serving import revisions
from smallmodel_operator.serving.types import ServingRequest

RESTARTS: Final = 1000
"""The engine that ends again and again stays to be looked at, as it would in a Deployment."""


def job(request: ServingRequest, revision: int) -> Object:
    """One pod as the Deployment would have them, with another role."""
    template: dict[str, Any] = revisions.REVISIONS[revision](request)
    template["metadata"]["labels"][LABEL_ROLE] = ROLE_CANDIDATE
    template["metadata"]["labels"]["app.kubernetes.io/component"] = ROLE_CANDIDATE
    del template["metadata"]["labels"][LABEL_ARTIFACT]  # it stands for Jobs that read weights
    del template["spec"]["topologySpreadConstraints"]
    template["spec"]["restartPolicy"] = "OnFailure"
    spec = {"backoffLimit": RESTARTS, "template": template}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": step_name(request.name, "golden", digest(spec)),
            "namespace": request.namespace,
            "labels": labels(request.name, ROLE_CANDIDATE),
        },
        "spec": spec,
    }


def answering(pods: Iterable[Object]) -> str:
    """The address of the first pod that is ready and stays; empty when there is none."""
    for pod in pods:
        status = pod.get("status", {})
        ready = any(c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions", ()))
        if ready and status.get("podIP") and not pod["metadata"].get("deletionTimestamp"):
            return str(status["podIP"])
    return ""
