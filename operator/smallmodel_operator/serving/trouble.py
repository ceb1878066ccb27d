"""A pod's real trouble, in one sentence that says what to do. Reads pods and the Deployment's conditions; pure."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from smallmodel_operator.api.conditions import Reason
from smallmodel_operator.core.facts import Object
from smallmodel_operator.core.units import human, to_bytes

UNSCHEDULABLE_PATIENCE: Final = timedelta(seconds=60)
"""A pod may wait this long for room (an autoscaler, a pod leaving) before it is called stuck."""

_PULL = {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError"}
_CONFIG = {"CreateContainerConfigError", "CreateContainerError", "RunContainerError"}
# Log lines may hold prompts, and a status is read by more people than a prompt: passed on are only lines in which
# functions that run before the first request speak of an error.
_ENGINE_ERROR = re.compile(
    r"^(?:[\d.]+ )?(?:E )?[ \t]*(?:(?:srv|cmn)[ \t]+)?"
    r"(?:(?:gguf_init\w*|ggml_(?!\w*init:)\w+|llama_(?:model|init|context|kv)\w*|common_(?:init|fit)\w*"
    r"|load_model|init|main|start_server)[ \t]*: "
    r"(?=.*(?:error|failed|unable|invalid|unknown|unsupported|corrupt|couldn't|insufficient|exiting))"
    r"|(?=error: (?:invalid|unknown) argument|error while handling argument))"
    r"(?P<said>[^\n]{1,300})",
    re.MULTILINE | re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Trouble:
    """What keeps a pod from answering. `stuck`: it will not pass by itself, the user must act."""

    reason: Reason
    message: str
    stuck: bool
    look_again_seconds: float | None = None


def find(
    pods: Iterable[Object], deployment: Object | None, now: datetime, largest_node: int | None = None
) -> Trouble | None:
    """The worst trouble of a model's server pods, or None. Stuck beats passing."""
    found = [t for p in pods if (t := _of_pod(p, now, largest_node))]
    if not found and deployment is not None and (refused := _of_deployment(deployment)):
        found = [refused]
    return min(found, key=lambda t: not t.stuck, default=None)


def _of_pod(pod: Object, now: datetime, largest_node: int | None) -> Trouble | None:
    meta, status = pod["metadata"], pod.get("status", {})
    if meta.get("deletionTimestamp"):
        return None
    if status.get("phase") == "Failed":
        return _failed(pod)
    conditions = {c["type"]: c for c in status.get("conditions", [])}
    if conditions.get("Ready", {}).get("status") == "True":
        return None
    scheduled = conditions.get("PodScheduled", {})
    if scheduled.get("status") == "False" and scheduled.get("reason") == "Unschedulable":
        return _unschedulable(pod, scheduled, now, largest_node)
    for state in status.get("containerStatuses", []):
        if trouble := _of_container(pod, state):
            return trouble
    return None


def unscheduled_since(pod: Object, now: datetime) -> tuple[datetime, str] | None:
    """Since when a pod finds no node, and what the scheduler says of it."""
    if pod["metadata"].get("deletionTimestamp"):
        return None
    for condition in pod.get("status", {}).get("conditions", []):
        if condition["type"] == "PodScheduled" and condition.get("reason") == "Unschedulable":
            return _time(condition.get("lastTransitionTime"), now), condition.get("message", "")
    return None


def _of_container(pod: Object, state: Mapping[str, Any]) -> Trouble | None:
    waiting = state.get("state", {}).get("waiting", {})
    reason, detail = waiting.get("reason", ""), _short(waiting.get("message", ""))
    if reason in _PULL:
        return Trouble(
            Reason.IMAGE_PULL_FAILED,
            f"Pod {_name(pod)} cannot get an image: {detail or reason}. Check the reference in `spec.source.uri`, "
            "`spec.engine.image` or the profile, that the registry is reachable from the node, and the pull secret.",
            stuck=True,
        )
    if reason in _CONFIG:
        return Trouble(
            Reason.CONTAINER_CONFIG, f"Pod {_name(pod)} cannot start: {detail or reason}. Correct `spec.engine`.", True
        )
    ended = state.get("state", {}).get("terminated") or state.get("lastState", {}).get("terminated")
    if ended and not state.get("ready"):
        return _ended(pod, state, ended)
    return None


def _ended(pod: Object, state: Mapping[str, Any], ended: Mapping[str, Any]) -> Trouble:
    times = f"{state.get('restartCount', 0)} restart(s)"
    if ended.get("reason") == "OOMKilled" or ended.get("exitCode") == 137:
        limit = _memory_limit(pod)
        return Trouble(
            Reason.OUT_OF_MEMORY,
            f"Pod {_name(pod)} was killed for memory{f' at its limit of {limit}' if limit else ''} ({times}). "
            "Raise `spec.compute.resources.limits.memory`, or lower `spec.engine.contextSize` or `parallelSlots`.",
            stuck=True,
        )
    said = engine_error(ended.get("message", ""))
    return Trouble(
        Reason.CRASH_LOOP,
        f"The engine in pod {_name(pod)} ended with exit code {ended.get('exitCode')} ({times})"
        f"{f': {said}' if said else ''}. `kubectl logs {_name(pod)} --previous` has the rest; "
        "usual causes are damaged weights and wrong `spec.engine.args`.",
        stuck=True,
    )


def engine_error(log_tail: str) -> str:
    """The first line in which the engine speaks of an error while it starts (those after it say less); or nothing."""
    line = _ENGINE_ERROR.search(log_tail or "")
    return _short(line["said"], 200) if line else ""


def _unschedulable(pod: Object, condition: Mapping[str, Any], now: datetime, largest_node: int | None) -> Trouble:
    waited = now - _time(condition.get("lastTransitionTime"), now)
    request = _memory_request(pod)
    hint, too_large = "", bool(request and largest_node and request > largest_node)
    if too_large and largest_node:
        hint = (
            f" It asks for {human(request)} of memory and the largest node has {human(largest_node)}: "
            "take a smaller quantization or context, or add a larger node."
        )
    hint = hint or " Free room, or change `spec.compute` (resources, nodeSelector, tolerations)."
    message = f"Pod {_name(pod)} finds no node: {_short(condition.get('message', ''), 400)}.{hint}"
    stuck = waited >= UNSCHEDULABLE_PATIENCE or too_large
    again = None if stuck else max(1.0, (UNSCHEDULABLE_PATIENCE - waited).total_seconds())
    return Trouble(Reason.UNSCHEDULABLE, message, stuck, again)


def _failed(pod: Object) -> Trouble | None:
    status = pod.get("status", {})
    if status.get("reason") != "Evicted":
        return None  # its replacement tells
    return Trouble(
        Reason.EVICTED, f"Pod {_name(pod)} was evicted: {_short(status.get('message', ''))}. A new one starts.", False
    )


_REFUSED: tuple[tuple[str, Reason, bool, str], ...] = (  # what Kubernetes says; why; whether it stays so; the way out
    (
        "exceeded quota",
        Reason.QUOTA_EXCEEDED,
        True,
        "Ask for a larger ResourceQuota or lower `spec.compute.resources`.",
    ),
    (
        "error looking up service account",
        Reason.FORBIDDEN,
        False,
        "A new namespace has it after some seconds, and pods are tried again by themselves; "
        "if it was deleted, create it in the model's namespace: `kubectl create serviceaccount default`.",
    ),
    ("", Reason.FORBIDDEN, True, "Ask the owner of the policy that refuses it."),
)


def _of_deployment(deployment: Object) -> Trouble | None:
    conditions = {c["type"]: c for c in deployment.get("status", {}).get("conditions", [])}
    failure = conditions.get("ReplicaFailure", {})
    if failure.get("status") == "True":
        message = failure.get("message", "")
        reason, stuck, way = next(row[1:] for row in _REFUSED if row[0] in message)
        return Trouble(reason, f"Pods may not be created: {_short(message, 400)}. {way}", stuck)
    progressing = conditions.get("Progressing", {})
    if progressing.get("status") == "False" and progressing.get("reason") == "ProgressDeadlineExceeded":
        return Trouble(
            Reason.STARTING,
            f"The model did not become ready in time: {_short(progressing.get('message', ''))}. "
            "`kubectl describe pod` and `kubectl logs` of the newest pod say why.",
            True,
        )
    return None


def _memory_limit(pod: Object) -> str:
    return str(_resources(pod).get("limits", {}).get("memory", ""))


def _memory_request(pod: Object) -> int:
    text = _resources(pod).get("requests", {}).get("memory")
    return to_bytes(text) if text else 0


def _resources(pod: Object) -> Mapping[str, Any]:
    containers = pod.get("spec", {}).get("containers", [])
    return containers[0].get("resources", {}) if containers else {}


def _name(pod: Object) -> str:
    return str(pod["metadata"]["name"])


def _short(text: str, limit: int = 300) -> str:
    flat = " ".join((text or "").split()).rstrip(". ")
    return flat if len(flat) <= limit else flat[: limit - 1] + "…"


def _time(text: str | None, default: datetime) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00")) if text else default
