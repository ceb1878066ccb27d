"""Arguments of engines that a user may not pass, or the only ones that may, and why.

llama.cpp's are named as `llama-server --help` prints them.

The server reads `--ctx_size` as `--ctx-size`, so names are compared with `-` for `_`.
"""

from collections.abc import Mapping
from typing import Final

OWNED: Final = (
    "-m", "--model", "-a", "--alias", "--host", "--port", "--reuse-port",
    "-c", "--ctx-size", "-np", "--parallel", "-t", "--threads", "-tb", "--threads-batch",
    "--api-key", "--api-key-file", "--ssl-key-file", "--ssl-cert-file",
    "--metrics", "--no-slots", "-cram", "--cache-ram", "--offline",
)  # fmt: skip
"""Set by the operator from the spec; a second value would make the spec untrue."""

OPENING: Final = (
    "--slots", "--props", "--path", "--api-prefix", "--agent", "-ag", "--rpc", "--router",
    "--slot-save-path", "--media-path", "--log-file", "--log-prompts-dir", "--video-ffmpeg-dir",
    "-v", "--verbose", "--log-verbose", "-lv", "--verbosity", "--log-verbosity",
    "-hf", "-hfr", "-hff", "-hfd", "-hfrd", "-hfv", "-hfrv", "-hffv", "-hft", "-cl", "--cache-list",
    "-mu", "--model-url", "-dr", "--docker-repo", "-mm", "--mmproj", "-mmu", "--mmproj-url",
    "-md", "--model-draft", "--spec-draft-model", "--override-kv",
    "-lcs", "--lookup-cache-static", "-lcd", "--lookup-cache-dynamic",
)  # fmt: skip
"""Open a door (files, network, other models), show prompts, or load weights nobody declared."""

OPENING_PATTERN: Final = (
    "^--(ui|webui|mcp|tools|models|hf|spec-draft-hf|lora|control-vector|fim|gpt-oss|vision|embd-gemma)($|-)"
)
"""The same for whole families, so that the next version's members are refused too. Several download a model."""

OWNED_ENVIRONMENT: Final = ("LLAMA_", "GGML_", "LD_", "HF_", "HUGGINGFACE_", "AIP_", "NVIDIA_")
"""Beginnings of environment variables that would do the same by another way.

`AIP_MODE=PREDICTION` makes the server listen on `AIP_HTTP_PORT` instead of `--port`, with a further route.
`NVIDIA_VISIBLE_DEVICES` may give a pod devices that no device plugin counted.
"""

ALLOWED_ARGS: Final[Mapping[str, tuple[str, ...]]] = {
    "VLLM": (
        "--dtype", "--kv-cache-dtype", "--enforce-eager", "--seed", "--block-size", "--max-num-batched-tokens",
        "--enable-prefix-caching", "--no-enable-prefix-caching", "--enable-chunked-prefill",
        "--no-enable-chunked-prefill", "--enable-auto-tool-choice", "--tool-call-parser", "--reasoning-parser",
    ),
    "TGI": (
        "--dtype", "--kv-cache-dtype", "--waiting-served-ratio", "--max-waiting-tokens", "--max-batch-prefill-tokens",
        "--cuda-graphs", "--rope-scaling", "--rope-factor", "--disable-custom-kernels",
    ),
}  # fmt: skip
"""All that may be passed to engines whose arguments are too many, and change too often, to forbid one by one."""

ALLOWED_ENVIRONMENT: Final = ("CUDA_", "NCCL_", "OMP_", "TZ")
"""The same for their environment."""
