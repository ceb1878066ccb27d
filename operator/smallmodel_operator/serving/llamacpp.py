"""llama.cpp's server: its arguments, its probes, its port. One engine, one file."""

from typing import Any, Final

from smallmodel_operator.api.names import ENGINE_KEY_FILE, ENGINE_PORT
from smallmodel_operator.core.engine import CONTEXT_CHECKPOINTS
from smallmodel_operator.serving import drain
from smallmodel_operator.serving.types import ServingRequest

STARTUP_SECONDS: Final = 1800
"""Longest load of the weights; a claim on a slow network disk reads 20 GB in about this time."""


def arguments(request: ServingRequest) -> list[str]:
    """llama-server's arguments. Its context is shared by the slots, ours is per request: hence the product.

    `--cache-ram 0`: its prompt cache may otherwise take 8 GiB that no estimate and no limit knows of.
    `--no-slots`: that page shows other callers' prompts.
    """
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
        *request.args,
    ]  # fmt: skip


def with_key(made: list[str], folder: str, users: tuple[str, ...]) -> list[str]:
    """The arguments with the key's file, before the user's own, which stay last."""
    return _added(made, users, "--api-key-file", f"{folder}/{ENGINE_KEY_FILE}")


def with_few_checkpoints(made: list[str], users: tuple[str, ...]) -> list[str]:
    """The arguments with a bound for what a conversation leaves behind in each slot."""
    return _added(made, users, "--ctx-checkpoints", str(CONTEXT_CHECKPOINTS))


def _added(made: list[str], users: tuple[str, ...], *more: str) -> list[str]:
    own = made[: len(made) - len(users)]
    return [*own, *more, *users]


def container(request: ServingRequest) -> dict[str, Any]:
    """The engine's container without resources, security and mounts."""
    return {
        "name": "engine",
        "image": request.engine_image,
        "imagePullPolicy": "IfNotPresent",
        "args": arguments(request),
        "env": [{"name": name, "value": value} for name, value in request.env],
        "ports": [{"name": "http", "containerPort": ENGINE_PORT, "protocol": "TCP"}],
        # /health is 503 while weights load and 200 once a request would be answered.
        "startupProbe": _probe(period=1, failures=STARTUP_SECONDS),
        "readinessProbe": _probe(period=2, failures=3),
        # A loaded CPU answers late: only a minute of silence is death.
        "livenessProbe": _probe(period=10, failures=6),
        "lifecycle": {"preStop": {"exec": {"command": drain.command(ENGINE_PORT)}}},
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }


def _probe(*, period: int, failures: int) -> dict[str, Any]:
    return {
        "httpGet": {"path": "/health", "port": "http"},
        "periodSeconds": period,
        "timeoutSeconds": 5,
        "failureThreshold": failures,
    }
