"""Hugging Face's text-generation-inference: its arguments, its key, its metrics. One engine, one file.

Not proven on hardware. Flags and metric names are those of its releases 3.x; it was archived in 2026-03.
"""

from collections.abc import Mapping
from typing import Any, Final

from smallmodel_operator.api.names import ENGINE_KEY_FILE, ENGINE_PORT
from smallmodel_operator.core.engine import GPU_PERCENT, SAFETENSORS
from smallmodel_operator.serving import drain, metrics
from smallmodel_operator.serving.probes import probes
from smallmodel_operator.serving.types import ServingRequest

FORMAT: Final = SAFETENSORS
QUANTIZE: Final[Mapping[str, str]] = {"AWQ": "awq", "GPTQ": "gptq", "FP8": "fp8"}
"""What the weights are quantized as -> value of --quantize."""
QUANTIZATIONS: Final[frozenset[str] | None] = frozenset({"BF16", "F16", "F32", *QUANTIZE})
METRICS: Final[Mapping[str, str]] = {
    metrics.RUNNING: "tgi_batch_current_size",
    metrics.WAITING: "tgi_queue_size",
    metrics.PROMPT_TOKENS: "tgi_request_input_length_sum",
    metrics.GENERATED_TOKENS: "tgi_request_generated_tokens_sum",
}
SCRATCH: Final = "4Gi"
SHARED: Final = "2Gi"
"""Memory its processes exchange tensors through, one of which drives each device."""
ENVIRONMENT: Final = {
    # It may reach nothing, and must not try to.
    "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "DO_NOT_TRACK": "1",
    # It runs as a user its image does not know, on a file system it may not write to.
    "HOME": "/tmp", "USER": "engine", "LOGNAME": "engine", "HF_HOME": "/tmp",  # noqa: S108
    "TRITON_CACHE_DIR": "/tmp/triton",  # noqa: S108
}  # fmt: skip


def arguments(request: ServingRequest) -> list[str]:
    """Those of text-generation-launcher. One token of the context is left for the answer at least."""
    count = request.accelerator.count if request.accelerator else 1
    quantize = QUANTIZE.get(request.quantization)
    return [
        "--model-id", request.model_path,
        "--hostname", "0.0.0.0",  # noqa: S104 - inside the pod; the NetworkPolicy decides who reaches it
        "--port", str(ENGINE_PORT),
        "--max-total-tokens", str(request.context_size),
        "--max-input-tokens", str(request.context_size - 1),
        "--max-batch-total-tokens", str(request.context_size * request.parallel_slots),
        "--cuda-memory-fraction", f"0.{GPU_PERCENT}",
        "--num-shard", str(count),
        *(("--quantize", quantize) if quantize else ()),
        "--usage-stats", "off",
        "--json-output",
        *request.args,
    ]  # fmt: skip


def keyed(container: dict[str, Any], request: ServingRequest, folder: str) -> None:
    """It reads its key from the environment; /health and /metrics answer without one."""
    secret = {"secretKeyRef": {"name": f"{request.name}-engine-key", "key": ENGINE_KEY_FILE}}
    container["env"].append({"name": "API_KEY", "valueFrom": secret})


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
        "args": arguments(request),
        "env": [{"name": name, "value": value} for name, value in named.items()],
        "ports": [{"name": "http", "containerPort": ENGINE_PORT, "protocol": "TCP"}],
        **probes(),
        "lifecycle": {"preStop": {"exec": {"command": drain.command(ENGINE_PORT)}}},
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }
