"""Write a folder as publishers ship a model of true size: config.json, a tokenizer, safetensors in bfloat16.

Weights are random, shapes are real; the tokenizer is the tests' small one, and the converter fills up the vocabulary.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from hack.true_size.shapes import SHAPES, Shape
from hack.true_size.write import SEED, folder

NAMED = {
    "0.5b": ("Qwen2ForCausalLM", "qwen2"), "1b": ("LlamaForCausalLM", "llama"), "3b": ("LlamaForCausalLM", "llama"),
    "8b": ("LlamaForCausalLM", "llama"),
}  # fmt: skip
"""Sizes that can be written -> architecture and model type as config.json has them."""
TILE = 2**22
"""Random numbers that are written again and again from another start."""
SPREAD = 0.02
PLACES = ("tokenizer.model", "tokenizer_config.json")


def ensure(name: str) -> Path:
    """The folder, written where it is missing."""
    made = folder() / f"{name}-safetensors"
    if not made.exists():
        from hack.safetensors_model.made import folder as trained

        scratch = made.with_name(f".{made.name}.part")
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
        for file in PLACES:
            shutil.copy(trained() / file, scratch)
        shape = SHAPES[name]
        (scratch / "config.json").write_text(json.dumps(config(shape)))
        _write(scratch / "model.safetensors", tensors(shape))
        scratch.rename(made)
    return made


def config(shape: Shape) -> dict[str, object]:
    """As a publisher states the shape."""
    architecture, kind = NAMED[shape.name]
    return {
        "architectures": [architecture], "model_type": kind, "torch_dtype": "bfloat16", "vocab_size": shape.vocabulary,
        "hidden_size": shape.embedding, "intermediate_size": shape.feed_forward, "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads, "num_key_value_heads": shape.heads_kv, "head_dim": shape.head,
        "max_position_embeddings": shape.context, "rope_theta": shape.rope_base, "rms_norm_eps": 1e-5,
        "tie_word_embeddings": shape.tied, "hidden_act": "silu", "bos_token_id": 1, "eos_token_id": 2,
    }  # fmt: skip


def tensors(shape: Shape) -> dict[str, tuple[int, ...]]:
    """Names and shapes, as transformers names them."""
    width, wide, keys = shape.embedding, shape.feed_forward, shape.heads_kv * shape.head
    queries = shape.heads * shape.head
    made: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (shape.vocabulary, width)}
    for n in range(shape.layers):
        layer = f"model.layers.{n}"
        made |= {
            f"{layer}.self_attn.q_proj.weight": (queries, width), f"{layer}.self_attn.k_proj.weight": (keys, width),
            f"{layer}.self_attn.v_proj.weight": (keys, width), f"{layer}.self_attn.o_proj.weight": (width, queries),
            f"{layer}.mlp.gate_proj.weight": (wide, width), f"{layer}.mlp.up_proj.weight": (wide, width),
            f"{layer}.mlp.down_proj.weight": (width, wide), f"{layer}.input_layernorm.weight": (width,),
            f"{layer}.post_attention_layernorm.weight": (width,),
        }  # fmt: skip
        if shape.bias:
            made |= {f"{layer}.self_attn.{p}_proj.bias": (n,) for p, n in (("q", queries), ("k", keys), ("v", keys))}
    made["model.norm.weight"] = (width,)
    return made if shape.tied else made | {"lm_head.weight": (shape.vocabulary, width)}


def _write(file: Path, wanted: dict[str, tuple[int, ...]]) -> None:
    entries: dict[str, object] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, shape in wanted.items():
        size = 2 * int(np.prod(shape, dtype=np.int64))
        entries[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [end, end + size]}
        end += size
    header = json.dumps(entries).encode()
    header += b" " * (-len(header) % 8)
    generator = np.random.default_rng(SEED)
    numbers = generator.standard_normal(TILE, dtype=np.float32) * SPREAD
    noise, ones = _bfloat16(numbers), _bfloat16(numbers + 1)
    with file.open("wb") as out:
        out.write(len(header).to_bytes(8, "little") + header)
        for number, (name, shape) in enumerate(wanted.items()):
            tile, left = ones if name.endswith("norm.weight") else noise, int(np.prod(shape, dtype=np.int64))
            start = number * 7919 % TILE
            while left:
                piece = tile[start : start + left]
                out.write(piece.tobytes())
                left, start = left - len(piece), 0


def _bfloat16(numbers: Any) -> Any:
    """The upper half of each float."""
    return (numbers.astype("<f4").view("<u4") >> 16).astype("<u2")
