"""Arguments of llama.cpp's server that a user may not pass, and why. Names as `llama-server --help` prints them.

The server reads `--ctx_size` as `--ctx-size`, so names are compared with `-` for `_`.
"""

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

OWNED_ENVIRONMENT: Final = ("LLAMA_", "GGML_", "LD_", "HF_", "HUGGINGFACE_", "AIP_")
"""Beginnings of environment variables that would do the same by another way.

`AIP_MODE=PREDICTION` makes the server listen on `AIP_HTTP_PORT` instead of `--port`, with a further route.
"""
