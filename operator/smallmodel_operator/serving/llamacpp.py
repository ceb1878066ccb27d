"""llama.cpp's server: its arguments, its key, its metrics. One engine, one file."""

from collections.abc import Mapping
from typing import Any, Final

from smallmodel_operator.api.names import ENGINE_KEY_FILE, ENGINE_PORT
from smallmodel_operator.core.engine import CONTEXT_CHECKPOINTS, GGUF
from smallmodel_operator.serving import drain, metrics
from smallmodel_operator.serving.probes import probes
from smallmodel_operator.serving.types import ServingRequest

FORMAT: Final = GGUF
QUANTIZATIONS: Final[frozenset[str] | None] = None
METRICS: Final[Mapping[str, str]] = {
    metrics.RUNNING: "llamacpp:requests_processing",
    metrics.WAITING: "llamacpp:requests_deferred",
    metrics.PROMPT_TOKENS: "llamacpp:prompt_tokens_total",
    metrics.GENERATED_TOKENS: "llamacpp:tokens_predicted_total",
}
ALL_LAYERS: Final = 999
"""More than any model has: every layer on the accelerator, which the memory estimate counts on."""


def arguments(request: ServingRequest) -> list[str]:
    """llama-server's arguments. Its context is shared by the slots, ours is per request: hence the product.

    `--cache-ram 0`: its prompt cache may otherwise take 8 GiB that no estimate and no limit knows of.
    `--no-slots`: that page shows other callers' prompts.
    """
    offload = ["--n-gpu-layers", str(ALL_LAYERS)] if request.accelerator else []
    return [
        "--model", request.model_path,
        "--alias", request.name,
        "--host", "0.0.0.0",  # noqa: S104 - inside the pod; the NetworkPolicy decides who reaches it
        "--port", str(ENGINE_PORT),
        "--ctx-size", str(request.context_size * request.parallel_slots),
        "--parallel", str(request.parallel_slots),
        "--threads", str(request.threads),
        "--cache-ram", "0",
        "--metrics", "--no-slots", "--no-webui",
        *offload,
        *request.args,
    ]  # fmt: skip


def keyed(container: dict[str, Any], request: ServingRequest, folder: str) -> None:
    """With the key's file, and a bound for what a conversation leaves behind in each slot; the user's own stay last."""
    own = container["args"][: len(container["args"]) - len(request.args)]
    ours = ["--ctx-checkpoints", str(CONTEXT_CHECKPOINTS), "--api-key-file", f"{folder}/{ENGINE_KEY_FILE}"]
    container["args"] = [*own, *ours, *request.args]


def room(request: ServingRequest) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """A little, for temporary files."""
    return (
        [{"name": "tmp", "emptyDir": {"sizeLimit": "64Mi"}}],
        [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108
    )


def container(request: ServingRequest) -> dict[str, Any]:
    """The engine's container without resources, security and mounts."""
    return {
        "name": "engine",
        "image": request.engine_image,
        "imagePullPolicy": "IfNotPresent",
        "args": arguments(request),
        "env": [{"name": name, "value": value} for name, value in request.env],
        "ports": [{"name": "http", "containerPort": ENGINE_PORT, "protocol": "TCP"}],
        **probes(),
        "lifecycle": {"preStop": {"exec": {"command": drain.command(ENGINE_PORT)}}},
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }
