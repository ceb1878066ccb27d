"""What keeps a Job's pod from reading the weights, and reading that does not end."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from smallmodel_operator.api.conditions import Condition, Reason
from smallmodel_operator.core.facts import Object
from smallmodel_operator.core.outcome import NotYet, Refused
from smallmodel_operator.weights import convert, make, pull, result, source

PATIENCE: Final = timedelta(seconds=60)
"""A pod that is still being set up after this long is worth a word."""
_PULL: Final = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName")


def find(where: source.Source, pods: list[Object], now: datetime) -> NotYet | Refused | None:
    """What keeps the Job's pod from running, in the kubelet's or the scheduler's words."""
    for pod in pods:
        status = pod.get("status", {})
        for state in _states(pod):
            waiting = state.get("state", {}).get("waiting") or {}
            if waiting.get("reason") in _PULL:
                return _unpulled(where, str(waiting.get("message") or waiting["reason"]))
            if waiting.get("reason") == "ContainerCreating" and _waited(status, now) > PATIENCE:
                return NotYet(Reason.INSPECTING, _slow(str(pod["metadata"]["name"])), after_seconds=30)
        for condition in status.get("conditions", []):
            if condition.get("type") == "PodScheduled" and condition.get("reason") == "Unschedulable":
                return NotYet(
                    Reason.UNSCHEDULABLE,
                    f"The pod for these weights finds no node: {condition.get('message', '')}. Free what it lacks, "
                    "correct `spec.compute` (nodeSelector, tolerations), or see `kubectl describe pvc`.",
                )
    return None


def last_words(pod: Object) -> result.Said | None:
    """What a pod that has ended left as its result."""
    for state in _states(pod):
        ended = state.get("state", {}).get("terminated") or {}
        if said := result.decode(ended.get("message", "")):
            return said
        if ended.get("exitCode") and state.get("name") in (*make.TOOLS, *convert.TOOLS):
            return _broken_step(str(state["name"]), ended, _given(pod, str(state["name"])))
    return None


def step(pods: list[Object]) -> str:
    """Name of the step that a pod of several is at; empty before the first."""
    states = _states(pods[0]) if pods else []
    running = (str(s.get("name", "")) for s in states if s.get("state", {}).get("running"))
    return next(running, "")


def _states(pod: Object) -> list[Any]:
    status = pod.get("status", {})
    return [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]


def _given(pod: Object, step: str) -> str:
    """Memory a step of a pod has, as Kubernetes writes it."""
    steps = pod.get("spec", {}).get("initContainers", [])
    limits = [s.get("resources", {}).get("limits", {}) for s in steps if s.get("name") == step]
    return str(limits[0].get("memory", "")) if limits else ""


def _broken_step(name: str, ended: Mapping[str, Any], given: str) -> result.Failure:
    """A tool of llama.cpp's failed; the kubelet kept the end of what it printed."""
    reason = Reason.IMPORTANCE_MATRIX_FAILED if name == make.MATRIX else Reason.QUANTIZATION_FAILED
    if ended.get("reason") == "OOMKilled":
        message = f"Step {name} was killed: it took more memory than it was given{f' ({given})' if given else ''}."
        return result.Failure(reason, message, passing=True)
    lines = [line.strip() for line in str(ended.get("message", "")).splitlines() if line.strip()]
    last = "".join(c for c in (lines[-1] if lines else "") if c.isprintable())[-300:]
    text = f"Step {name} failed with exit code {ended['exitCode']}{f': {last}' if last else ''}."
    return result.Failure(reason, text, passing=ended["exitCode"] != result.EXIT_REFUSED)


def between_pods(pods: list[Object]) -> NotYet | None:
    """Why the youngest pod broke off, until the Job controller starts the next one."""
    said = last_words(pods[0]) if pods else None
    if isinstance(said, result.Failure) and said.passing:
        return NotYet(said.reason, f"{said.message} Trying again.", after_seconds=15)
    return None


def _waited(status: Mapping[str, Any], now: datetime) -> timedelta:
    return now - time(status.get("startTime"), now)


def _slow(pod: str) -> str:
    """The kubelet says nothing while it pulls or mounts; what it waits for stands in the pod's events only."""
    return (
        f"Pod {pod} waits for an image or a volume for more than a minute. That is usual for large weights on a node "
        f"that never had them; a registry that does not answer looks the same. `kubectl describe pod {pod}` tells."
    )


def _unpulled(where: source.Source, said: str) -> Refused:
    """Either the weights' image or the operator's own, which the Job runs; the kubelet names it."""
    weights = isinstance(where, source.OciSource) and (where.digest in said or where.reference in said)
    if weights:
        reason = pull.reason_of(said)
        return refused(reason, f"The weights cannot be pulled: {said}. {pull.way_out(reason)}", 30)
    if isinstance(where, source.AdapterSet) and any(a.reference in said for a in where.adapters):
        way = "Check `spec.adapters`, that the registry is reachable from the node, and the namespace's pull secret."
        return refused(pull.reason_of(said), f"The adapters cannot be pulled: {said}. {way}", 30)
    return refused(
        Reason.IMAGE_PULL_FAILED,
        f"An image of the Job for these weights cannot be pulled: {said}. Check that the node reaches the registry, "
        "`spec.source.uri`, the image with llama.cpp's tools where one is used (`spec.quantization.image`, else the "
        "ComputeProfile's), and that this namespace may pull the operator's own image.",
        30,
    )


def with_way(where: source.Source, reason: Reason, message: str) -> str:
    """A claim that lacks the file is usually one that nobody filled yet: what goes where, and that it is seen."""
    if not isinstance(where, source.ClaimSource) or reason is not Reason.WEIGHTS_NOT_FOUND:
        return message
    target = f"as {where.path!r}" if where.path.endswith(".gguf") else f"under {where.path or '/'!r}"
    return (
        f"{message} If the claim is not filled yet: put the GGUF file into PersistentVolumeClaim {where.claim!r} "
        f"{target} (`kubectl cp` through a pod that mounts it; examples/02-weights-on-a-claim has one). It is "
        "looked at again every two minutes by itself."
    )


def overdue(pods: list[Object], now: datetime, seconds: int) -> bool:
    """Whether the youngest pod's container has run for longer than this: what was pulled before it is not counted."""
    for state in pods[0].get("status", {}).get("containerStatuses", []) if pods else []:
        running = state.get("state", {}).get("running") or {}
        if now - time(running.get("startedAt"), now) > timedelta(seconds=seconds):
            return True
    return False


def refused(reason: Reason, message: str, recheck_seconds: float | None = None) -> Refused:
    """A refusal that `WeightsReady` or `Quantized` tells of."""
    of_type = reason in (Reason.QUALITY_TOO_LOW, Reason.QUANTIZATION_FAILED, Reason.IMPORTANCE_MATRIX_FAILED)
    condition = Condition.QUANTIZED if of_type else Condition.WEIGHTS_READY
    return Refused(reason, message, recheck_seconds=recheck_seconds, condition=condition)


def time(text: str | None, default: datetime) -> datetime:
    """A moment as Kubernetes writes it."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")) if text else default
