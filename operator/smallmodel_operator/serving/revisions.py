"""Engine revisions: numbered builders of the pod template.

A running model's template is always rebuilt by the builder that made it, so upgrading the operator restarts no
pod. Only when the user's wish changes (spec, profile or weights) does a model move to the newest revision. To
change anything in a template, add a revision; never edit one that was released (golden files hold them still).
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from typing import Any, Final

from smallmodel_operator.api.names import (
    ANNOTATION_INPUTS,
    ANNOTATION_REVISION,
    LABEL_ARTIFACT,
    ROLE_SERVER,
    digest,
    labels,
    selector,
    short_hash,
)
from smallmodel_operator.core.engine import LLAMA_CPP, Accelerator
from smallmodel_operator.core.facts import Object
from smallmodel_operator.core.pod import container_security, pod_security
from smallmodel_operator.core.units import to_bytes
from smallmodel_operator.serving import drain
from smallmodel_operator.serving.engines import ENGINES
from smallmodel_operator.serving.types import ServingRequest

ANNOTATION_MEMORY: Final = "smallmodel.dev/derived-memory"


def revision_1(request: ServingRequest) -> dict[str, Any]:
    """The pod template of release 0.1.0."""
    kind = ENGINES[request.engine]
    volumes, mounts = kind.room(request)
    engine = {
        **kind.container(request),
        "resources": _resources(request),
        "securityContext": container_security(),
        "volumeMounts": [dict(request.mount), *mounts],
    }
    spec: dict[str, Any] = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": pod_security(),
        "terminationGracePeriodSeconds": drain.GRACE_SECONDS,
        "containers": [engine],
        "volumes": [dict(request.volume), *volumes],
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": selector(request.name)},
            }
        ],
    }
    if request.node_selector:
        spec["nodeSelector"] = dict(request.node_selector)
    if request.tolerations:
        spec["tolerations"] = [dict(t) for t in request.tolerations]
    if request.runtime_class:
        spec["runtimeClassName"] = request.runtime_class
    metadata = {
        "labels": {**labels(request.name, ROLE_SERVER), LABEL_ARTIFACT: short_hash(request.artifact)},
        "annotations": {ANNOTATION_REVISION: "1"},
    }
    return {"metadata": metadata, "spec": spec}


def _resources(request: ServingRequest) -> dict[str, Any]:
    found: dict[str, Any] = {"requests": {"cpu": request.cpu_request, "memory": request.memory_request}}
    limits = {k: v for k, v in {"cpu": request.cpu_limit, "memory": request.memory_limit}.items() if v}
    if request.accelerator:
        # Kubernetes takes devices as a limit, and asks for as many.
        limits[request.accelerator.resource] = str(request.accelerator.count)
    if limits:
        found["limits"] = limits
    return found


def revision_2(request: ServingRequest) -> dict[str, Any]:
    """Release 0.2.0: the engine asks for a key, keeps few checkpoints, and a node that is gone is left soon."""
    template = revision_1(request)
    template["metadata"]["annotations"][ANNOTATION_REVISION] = "2"
    spec = template["spec"]
    (engine,) = spec["containers"]
    ENGINES[request.engine].keyed(engine, request, KEY_FOLDER)
    engine["volumeMounts"].append({"name": "key", "mountPath": KEY_FOLDER, "readOnly": True})
    spec["volumes"].append({"name": "key", "secret": {"secretName": f"{request.name}-engine-key"}})
    spec["tolerations"] = [*spec.get("tolerations", ()), *_GONE_NODE]
    return template


KEY_FOLDER: Final = "/etc/smallmodel/engine-key"
_GONE_NODE: Final = tuple(
    {"key": f"node.kubernetes.io/{taint}", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 5}
    for taint in ("not-ready", "unreachable")
)
"""Kubernetes' own default waits five minutes before it replaces the pods of a node that is gone."""


REVISIONS: Final[Mapping[int, Callable[[ServingRequest], dict[str, Any]]]] = {1: revision_1, 2: revision_2}
LATEST: Final = max(REVISIONS)


WISH: Final = (
    "name", "namespace", "engine_image", "context_size", "parallel_slots", "args", "env", "cpu_request", "cpu_limit",
    "threads", "memory_limit", "node_selector", "tolerations", "artifact", "volume", "mount", "model_path",
)  # fmt: skip
"""Fields of the request whose change is the user's wish for other pods. Never edited: every hash would change."""
LATER: Final[Mapping[str, Any]] = {
    "engine": LLAMA_CPP, "accelerator": None, "runtime_class": "", "quantization": "",
}  # fmt: skip
"""Fields added since 0.1.0 and their defaults: hashed only where they differ, so that old hashes stay true."""
NOT_WISHED: Final = frozenset({"replicas", "memory_request", "memory_declared"})
"""Replicas move without touching pods; derived memory follows the weights."""


def inputs(request: ServingRequest) -> str:
    """Hash of what the user asked for."""
    wish = {name: getattr(request, name) for name in WISH}
    wish |= {name: value for name, default in LATER.items() if (value := getattr(request, name)) != default}
    wish["memory_request"] = request.memory_request if request.memory_declared else "derived"
    return digest(_plain(wish))


def made_from(request: ServingRequest, live: Object | None) -> bool:
    """Whether the running template was made from this wish."""
    recorded = live["metadata"].get("annotations") or {} if live else {}
    return recorded.get(ANNOTATION_INPUTS) == inputs(request)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, Accelerator):
        return asdict(value)
    if isinstance(value, tuple | list):
        return [_plain(v) for v in value]
    return value


def frozen(request: ServingRequest, live: Object | None) -> tuple[int, ServingRequest]:
    """The revision to build with, and the request as it was when the running template was made.

    While the inputs are the recorded ones, revision and derived memory are the recorded ones too.
    """
    recorded = (live or {}).get("metadata", {}).get("annotations", {}) if live else {}
    # Looked up as it was written: whatever else stands there is not read as a number.
    revision = {str(number): number for number in REVISIONS}.get(recorded.get(ANNOTATION_REVISION, ""))
    same = recorded.get(ANNOTATION_INPUTS) == inputs(request)
    if not same or revision is None:
        return LATEST, request
    memory = _recorded_memory(recorded.get(ANNOTATION_MEMORY, ""), live or {})
    return revision, replace(request, memory_request=memory) if memory else request


def _recorded_memory(text: str, live: Object) -> str | None:
    """The memory the running template was made with; None when somebody wrote something else into the annotation."""
    try:
        to_bytes(text)
        (engine, *_) = live["spec"]["template"]["spec"]["containers"]
        same = to_bytes(engine["resources"]["requests"]["memory"]) == to_bytes(text)
    except (KeyError, ValueError, TypeError):
        return None
    return text if same else None
