"""Makers of objects as the API server would show them: small, with only what a test is about."""

from datetime import UTC, datetime, timedelta
from typing import Any

from smallmodel_operator.api.names import ROLE_SERVER, labels
from smallmodel_operator.serving.types import ServingRequest

NOW = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)
UID = "11111111-2222-3333-4444-555555555555"
OCI = "oci://registry.test/models/bot@sha256:" + "a" * 64


def ago(seconds: float) -> str:
    return (NOW - timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def request(**changes: Any) -> ServingRequest:
    """A complete ServingRequest; `changes` override fields."""
    values: dict[str, Any] = {
        "name": "bot",
        "namespace": "support",
        "engine_image": "registry.test/llama@sha256:" + "e" * 64,
        "context_size": 4096,
        "parallel_slots": 4,
        "args": (),
        "env": (),
        "cpu_request": "100m",
        "cpu_limit": None,
        "threads": 1,
        "memory_request": "512Mi",
        "memory_declared": False,
        "memory_limit": None,
        "node_selector": {},
        "tolerations": (),
        "replicas": 1,
        "artifact": "sha256:" + "a" * 64,
        "volume": {
            "name": "weights",
            "image": {"reference": "registry.test/models/bot@sha256:" + "a" * 64, "pullPolicy": "IfNotPresent"},
        },
        "mount": {"name": "weights", "mountPath": "/weights", "readOnly": True},
        "model_path": "/weights/model.gguf",
    }
    return ServingRequest(**{**values, **changes})


def model(name: str = "bot", **spec: Any) -> dict[str, Any]:
    """A SmallModel as the API server shows it."""
    return {
        "apiVersion": "smallmodel.dev/v1alpha1",
        "kind": "SmallModel",
        "metadata": {
            "name": name,
            "namespace": "support",
            "uid": UID,
            "generation": 1,
            "resourceVersion": "10",
        },
        "spec": {"source": {"uri": OCI, "path": "model.gguf"}, "replicas": 1, **spec},
    }


def route(name: str = "desk", **targets: int | None) -> dict[str, Any]:
    """A ModelRoute that stands well, over SmallModels named as its targets; their weights."""
    all_answer = f"{len(targets)} of {len(targets)} target(s) answer."
    ready = {"type": "Ready", "status": "True", "reason": "Serving", "message": all_answer}
    stands = [{"name": t, "model": f"support/{t}", "ready": True, "reason": "Serving"} for t in targets]
    leads = [
        {"name": t, "smallModelRef": {"name": t}, **({} if weight is None else {"weight": weight})}
        for t, weight in targets.items()
    ]
    meta = {"name": name, "namespace": "support", "uid": f"{UID}-{name}", "generation": 1, "resourceVersion": "10"}
    return {
        "apiVersion": "smallmodel.dev/v1alpha1",
        "kind": "ModelRoute",
        "metadata": meta,
        "spec": {"targets": leads},
        "status": {"observedGeneration": 1, "conditions": [ready], "targets": stands},
    }


def profile(name: str = "default", **spec: Any) -> dict[str, Any]:
    engines = [{"name": "LlamaCpp", "image": "registry.test/llama@sha256:" + "e" * 64}]
    return {
        "apiVersion": "smallmodel.dev/v1alpha1",
        "kind": "ComputeProfile",
        "metadata": {"name": name},
        "spec": {"engines": engines, "perReplica": {"cpu": "100m"}, **spec},
    }


def deployment(name: str = "bot", *, generation: int = 1, **status: Any) -> dict[str, Any]:
    """A live Deployment; `status` as the Deployment controller writes it."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "support", "generation": generation, "resourceVersion": "5"},
        "spec": {},
        "status": {"observedGeneration": generation, **status},
    }


def pod(name: str = "bot-1", *, memory: str = "512Mi", limit: str = "", **status: Any) -> dict[str, Any]:
    """A server pod with one container."""
    resources: dict[str, Any] = {"requests": {"cpu": "100m", "memory": memory}}
    if limit:
        resources["limits"] = {"memory": limit}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "support", "labels": labels("bot", ROLE_SERVER)},
        "spec": {"nodeName": "node", "containers": [{"name": "engine", "resources": resources}]},
        "status": {"phase": "Pending", **status},
    }


def ready(name: str = "bot-1") -> dict[str, Any]:
    return pod(name, phase="Running", conditions=[{"type": "Ready", "status": "True"}])


def waiting(reason: str, message: str = "", name: str = "bot-1", **state: Any) -> dict[str, Any]:
    container = {
        "name": "engine",
        "ready": False,
        "restartCount": 0,
        "state": {"waiting": {"reason": reason, "message": message}},
        **state,
    }
    return pod(name, conditions=[{"type": "Ready", "status": "False"}], containerStatuses=[container])


def crashed(
    message: str, *, code: int = 1, reason: str = "Error", limit: str = "", restarts: int = 3
) -> dict[str, Any]:
    ended = {"terminated": {"exitCode": code, "reason": reason, "message": message}}
    made = waiting(
        "CrashLoopBackOff", "back-off 40s restarting failed container", lastState=ended, restartCount=restarts
    )
    if limit:
        made["spec"]["containers"][0]["resources"]["limits"] = {"memory": limit}
    return made


def unschedulable(
    seconds: float, message: str = "0/1 nodes are available: 1 Insufficient memory.", **pod_args: Any
) -> dict[str, Any]:
    condition = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "lastTransitionTime": ago(seconds),
        "message": message,
    }
    made = pod(conditions=[condition], **pod_args)
    del made["spec"]["nodeName"]
    return made
