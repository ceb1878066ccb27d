"""Arguments of llama.cpp's server that a user may not pass, and why. Names as `llama-server --help` prints them."""

from typing import Final

OWNED: Final = (
    "-m", "--model", "-a", "--alias", "--host", "--port", "--reuse-port",
    "-c", "--ctx-size", "-np", "--parallel", "-t", "--threads", "-tb", "--threads-batch",
    "--api-key", "--api-key-file", "--ssl-key-file", "--ssl-cert-file",
    "--metrics", "--no-slots", "-cram", "--cache-ram", "--offline",
)  # fmt: skip
"""Set by the operator from the spec; a second value would make the spec untrue."""

OPENING: Final = (
    "--slots", "--props", "--path", "--api-prefix", "--webui", "--ui", "--webui-config", "--webui-config-file",
    "--ui-config", "--ui-config-file", "--webui-mcp-proxy", "--ui-mcp-proxy", "--mcp", "--mcp-config", "--tools",
    "--agent", "--rpc", "--router", "--models-dir", "--models-preset", "--models-max", "--models-autoload",
    "--slot-save-path", "--media-path", "--log-file", "--log-prompts-dir", "-v", "--verbose", "--log-verbose",
    "-lv", "--verbosity", "--log-verbosity",
    "-hf", "-hfr", "--hf-repo", "-hff", "--hf-file", "-hfd", "-hfrd", "--hf-repo-draft", "-hfv", "-hfrv",
    "--hf-repo-v", "-hffv", "--hf-file-v", "-hft", "--hf-token", "-mu", "--model-url", "-dr", "--docker-repo",
    "-mmu", "--mmproj-url", "--lora", "--lora-scaled", "--lora-init-without-apply", "--control-vector",
    "--control-vector-scaled", "-md", "--model-draft", "--override-kv",
)  # fmt: skip
"""Open a door (files, network, other models), show prompts, or load weights nobody declared."""

OWNED_ENVIRONMENT: Final = ("LLAMA_", "GGML_", "LD_", "HF_")
"""Beginnings of environment variables that would do the same by another way."""
