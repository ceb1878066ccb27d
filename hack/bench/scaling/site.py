"""Nodes and pods of a thousand models in memory, as large as Kubernetes has them, packed as the operator keeps them."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from smallmodel_operator.api.names import LABEL_MANAGED_BY, LABEL_MODEL, LABEL_ROLE, OPERATOR, ROLE_SERVER
from smallmodel_operator.cluster.children import Children, ModelKey, pack

PODS_A_NODE: Final = 50
OTHERS_A_NODE: Final = 10
"""Pods that are no model's: agents of the node, and what else a company runs."""
CREATED: Final = "2026-01-01T00:00:00Z"
LABELS: Final = {LABEL_MANAGED_BY: OPERATOR, LABEL_ROLE: ROLE_SERVER}
PROBE: Final = {
    "httpGet": {"path": "/health", "port": "http", "scheme": "HTTP"},
    "periodSeconds": 2,
    "timeoutSeconds": 5,
    "failureThreshold": 3,
    "successThreshold": 1,
}
ARGS: Final = [
    "--model",
    "/weights/model.gguf",
    "--host",
    "0.0.0.0",
    "--port",
    "8080",
    "--ctx-size",
    "16384",
    "--parallel",
    "4",
    "--threads",
    "1",
    "--cache-ram",
    "0",
    "--metrics",
    "--no-slots",
    "--no-webui",
    "--ctx-checkpoints",
    "2",
    "--api-key-file",
    "/etc/smallmodel/engine-key/key",
]
CONDITIONS: Final = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")


class Nodes:
    """So many nodes with room for so many of models' pods each, and pods of others on them, in place of the API
    server's lists."""

    def __init__(self, count: int, pods: int = PODS_A_NODE) -> None:
        room = {"cpu": str(pods + 1), "memory": "1Ti", "pods": "110", "ephemeral-storage": "100Gi"}
        status = {"allocatable": room, "capacity": room}
        metas = [{"name": f"node-{n}", "creationTimestamp": CREATED, "labels": {}} for n in range(count)]
        self._nodes = [{"metadata": meta, "spec": {}, "status": status} for meta in metas]
        self._others = [_other(f"node-{n % count}") for n in range(count * OTHERS_A_NODE)]

    async def nodes(self) -> list[dict[str, Any]]:
        return self._nodes

    async def others(self) -> list[dict[str, Any]]:
        return self._others


class Placed:
    """The pods of models on so many nodes, spread over them; one that comes goes where fewest are."""

    def __init__(self, nodes: int) -> None:
        self.children = Children()
        self._load = {f"node-{n}": 0 for n in range(nodes)}
        self._on: dict[ModelKey, list[tuple[str, bytes]]] = {}
        self._index: dict[ModelKey, Iterable[bytes]] = {}
        self._number = 0
        self.children.indices = {"Pod": self._index}

    def set(self, model: ModelKey, count: int) -> None:
        """A model runs so many replicas now; the others' pods stay the same."""
        on = self._on.setdefault(model, [])
        while len(on) > count:
            self._load[on.pop()[0]] -= 1
        while len(on) < count:
            node = min(self._load, key=lambda name: self._load[name])
            self._load[node] += 1
            self._number += 1
            on.append((node, pack(pod(self._number, model, node))))
        self._index[model] = [packed for _, packed in on]


def children(running: Mapping[ModelKey, int], nodes: int) -> Children:
    """The pods of models that run so many replicas each, spread over so many nodes."""
    placed = Placed(nodes)
    for name, count in running.items():
        placed.set(name, count)
    return placed.children


def pod(number: int, model: ModelKey, node: str) -> dict[str, Any]:
    """A server pod; its requests are a core and 1 GiB."""
    name = f"{model[1]}-5d9c7b6f4-{number:05}"
    engine = {
        "name": "engine",
        "image": "registry.internal/slm/llamacpp@sha256:" + "e" * 64,
        "imagePullPolicy": "IfNotPresent",
        "args": list(ARGS),
        "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}],
        "startupProbe": PROBE,
        "readinessProbe": PROBE,
        "livenessProbe": PROBE,
        "lifecycle": {"preStop": {"exec": {"command": ["/bin/sh", "-c", "sleep 5; " * 40]}}},
        "resources": {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"memory": "1Gi"}},
        "securityContext": {"readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}},
        "volumeMounts": [{"name": n, "mountPath": f"/{n}", "readOnly": True} for n in ("weights", "tmp", "key")],
    }
    meta = {
        "name": name,
        "namespace": model[0],
        "uid": f"uid-{number}",
        "resourceVersion": str(number),
        "creationTimestamp": CREATED,
        "labels": {**LABELS, LABEL_MODEL: model[1]},
        "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": name, "uid": "r"}],
    }
    taints = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
    conditions = [{"type": t, "status": "True", "lastTransitionTime": CREATED} for t in CONDITIONS]
    status = {"name": "engine", "ready": True, "restartCount": 0, "state": {"running": {"startedAt": CREATED}}}
    return {
        "metadata": meta,
        "spec": {
            "nodeName": node,
            "containers": [engine],
            "volumes": [{"name": n, "emptyDir": {}} for n in ("weights", "tmp", "key")],
            "tolerations": [{"key": key, "operator": "Exists", "effect": "NoExecute"} for key in taints],
        },
        "status": {"phase": "Running", "podIP": "10.0.0.1", "conditions": conditions, "containerStatuses": [status]},
    }


def _other(node: str) -> dict[str, Any]:
    """As the operator keeps them: what counts of each."""
    containers = [{"resources": {"requests": {"cpu": "10m", "memory": "64Mi"}}} for _ in range(2)]
    return {
        "metadata": {"creationTimestamp": CREATED},
        "spec": {"nodeName": node, "overhead": None, "containers": containers, "initContainers": []},
        "status": {"phase": "Running", "conditions": []},
    }
