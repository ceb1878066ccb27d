"""A folder of safetensors files, as publishers lay it out; written by hand, so that it can be wrong, too."""

import json
from pathlib import Path
from typing import Any

CONFIG: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "torch_dtype": "bfloat16",
    "max_position_embeddings": 4096, "num_hidden_layers": 2, "hidden_size": 64, "num_attention_heads": 4,
    "num_key_value_heads": 2, "vocab_size": 128, "intermediate_size": 96,
}  # fmt: skip
TENSORS = {"model.embed_tokens.weight": ("BF16", (128, 64)), "model.norm.weight": ("F32", (64,))}
_BYTES = {"BF16": 2, "F32": 4, "I32": 4}


def file(tensors: dict[str, tuple[str, tuple[int, ...]]] | None = None) -> bytes:
    """One safetensors file with tensors of zeros."""
    entries: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, (dtype, shape) in (tensors or TENSORS).items():
        size = _BYTES[dtype]
        for n in shape:
            size *= n
        entries[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(entries).encode()
    return len(text).to_bytes(8, "little") + text + bytes(end)


def write(folder: Path, *, tokenizer: dict[str, Any] | None = None, **config: Any) -> Path:
    """A whole folder in one file; `config` overrides entries of config.json."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps({**CONFIG, **config}))
    (folder / "model.safetensors").write_bytes(file())
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer or {}))
    return folder
