"""What serving needs to be told. Built by control from the other concerns' results."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from smallmodel_operator.core.engine import LLAMA_CPP, Accelerator


@dataclass(frozen=True, slots=True)
class ServingRequest:
    """One model to serve. Memory values are quantities; `artifact` names the immutable weights."""

    name: str
    namespace: str
    engine_image: str
    context_size: int
    parallel_slots: int
    args: tuple[str, ...]
    env: tuple[tuple[str, str], ...]
    cpu_request: str
    cpu_limit: str | None
    threads: int
    memory_request: str
    memory_declared: bool
    memory_limit: str | None
    node_selector: Mapping[str, str]
    tolerations: tuple[Mapping[str, Any], ...]
    replicas: int
    artifact: str
    volume: Mapping[str, Any]
    mount: Mapping[str, Any]
    model_path: str
    engine: str = LLAMA_CPP
    accelerator: Accelerator | None = None
    runtime_class: str = ""
    quantization: str = ""
    """What the weights are quantized as, for engines that have to be told."""
