"""What the operator sets on engines and the memory estimate counts on."""

from dataclasses import dataclass
from typing import Final

LLAMA_CPP: Final = "LlamaCpp"
VLLM: Final = "VLLM"
TGI: Final = "TGI"
GGUF: Final = "GGUF"
SAFETENSORS: Final = "Safetensors"

DEFAULT_CONTEXT_SIZE: Final = 4096
"""Tokens for one request, where neither the user nor the model says less."""
GPU_PERCENT: Final = 90
"""Share of a device's memory that VLLM and TGI may take: the rest is the driver's, and what a fragmented heap loses."""


@dataclass(frozen=True, slots=True)
class Accelerator:
    """Devices of one replica: `count` of the device plugin's resource, each with so many bytes of memory."""

    resource: str
    count: int
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class Adapter:
    """A LoRA adapter: its name, the image it comes from (with a digest), and its file in there."""

    name: str
    reference: str
    path: str


def weights_format(engine: str) -> str:
    """What an engine serves."""
    return GGUF if engine == LLAMA_CPP else SAFETENSORS


CONTEXT_CHECKPOINTS: Final = 2
"""Copies of a slot's sliding-window (or recurrent) state that the server may keep to go back to. Its own default of 32
is reached after sixteen turns of a conversation. One prompt makes two, near its end: what the next turn needs."""
