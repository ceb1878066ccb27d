"""vLLM's OpenAI server: its arguments, its key, its metrics. One engine, one file. Not proven on hardware.

Flags and metric names are those of vLLM 0.10 and later.
"""

from collections.abc import Mapping
from typing import Any, Final

from smallmodel_operator.api.names import ENGINE_KEY_FILE, ENGINE_PORT
from smallmodel_operator.core.engine import GPU_PERCENT, SAFETENSORS
from smallmodel_operator.serving import drain, metrics
from smallmodel_operator.serving.probes import probes
from smallmodel_operator.serving.types import ServingRequest

FORMAT: Final = SAFETENSORS
QUANTIZATIONS: Final[frozenset[str] | None] = frozenset(
    {"BF16", "F16", "F32", "AWQ", "GPTQ", "FP8", "COMPRESSED_TENSORS"}
)
METRICS: Final[Mapping[str, str]] = {
    metrics.RUNNING: "vllm:num_requests_running",
    metrics.WAITING: "vllm:num_requests_waiting",
    metrics.PROMPT_TOKENS: "vllm:prompt_tokens_total",
    metrics.GENERATED_TOKENS: "vllm:generation_tokens_total",
}
SCRATCH: Final = "4Gi"
"""Compiled kernels, which it writes at every start."""
SHARED: Final = "2Gi"
"""Memory its processes exchange tensors through, one of which drives each device."""
ENVIRONMENT: Final = {
    # It may reach nothing, and must not try to: no statistics, no hub.
    "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1", "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1",
    # It runs as a user its image does not know, on a file system it may not write to.
    "HOME": "/tmp", "USER": "engine", "LOGNAME": "engine", "XDG_CACHE_HOME": "/tmp",  # noqa: S108
}  # fmt: skip


def arguments(request: ServingRequest) -> list[str]:
    """Those of `vllm serve`. Quantized weights it recognises by itself; a flag would force a slower kernel.

    `--load-format safetensors`: pickles are never loaded. `--max-log-len 0`: prompts are never logged.
    """
    count = request.accelerator.count if request.accelerator else 1
    return [
        request.model_path,
        "--served-model-name", request.name,
        "--host", "0.0.0.0",  # noqa: S104 - inside the pod; the NetworkPolicy decides who reaches it
        "--port", str(ENGINE_PORT),
        "--max-model-len", str(request.context_size),
        "--max-num-seqs", str(request.parallel_slots),
        "--gpu-memory-utilization", f"0.{GPU_PERCENT}",
        "--tensor-parallel-size", str(count),
        "--load-format", "safetensors",
        "--max-log-len", "0",
        *request.args,
    ]  # fmt: skip


def keyed(container: dict[str, Any], request: ServingRequest, folder: str) -> None:
    """It reads its key from the environment only; /health and /metrics answer without one."""
    secret = {"secretKeyRef": {"name": f"{request.name}-engine-key", "key": ENGINE_KEY_FILE}}
    container["env"].append({"name": "VLLM_API_KEY", "valueFrom": secret})


def room(request: ServingRequest) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """What it compiles, and memory its processes share."""
    return (
        [
            {"name": "tmp", "emptyDir": {"sizeLimit": SCRATCH}},
            {"name": "shared", "emptyDir": {"medium": "Memory", "sizeLimit": SHARED}},
        ],
        [{"name": "tmp", "mountPath": "/tmp"}, {"name": "shared", "mountPath": "/dev/shm"}],  # noqa: S108
    )


def container(request: ServingRequest) -> dict[str, Any]:
    """The engine's container without resources, security and mounts."""
    named = {**ENVIRONMENT, **dict(request.env)}
    return {
        "name": "engine",
        "image": request.engine_image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["vllm", "serve"],
        "args": arguments(request),
        "env": [{"name": name, "value": value} for name, value in named.items()],
        "ports": [{"name": "http", "containerPort": ENGINE_PORT, "protocol": "TCP"}],
        **probes(),
        "lifecycle": {"preStop": {"exec": {"command": drain.command(ENGINE_PORT)}}},
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }
