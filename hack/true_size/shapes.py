"""Tensor shapes, vocabulary sizes and block types of real models, as their published configurations state them."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Shape:
    """A dense decoder. `tied`: the output uses the token embedding. `bias`: query, key and value have biases."""

    name: str
    architecture: str
    layers: int
    embedding: int
    feed_forward: int
    heads: int
    heads_kv: int
    head: int
    vocabulary: int
    merges: int
    context: int
    tied: bool
    bias: bool
    rope_base: float
    pre_tokenizer: str


SHAPES: Final = {
    shape.name: shape
    for shape in (
        # Qwen2.5-0.5B-Instruct
        Shape("0.5b", "qwen2", 24, 896, 4864, 14, 2, 64, 151_936, 151_387, 32_768, True, True, 1e6, "qwen2"),
        # Llama-3.2-3B-Instruct
        Shape("3b", "llama", 28, 3072, 8192, 24, 8, 128, 128_256, 280_147, 131_072, True, False, 5e5, "llama-bpe"),
        # Llama-3.1-8B-Instruct
        Shape("8b", "llama", 32, 4096, 14_336, 32, 8, 128, 128_256, 280_147, 131_072, False, False, 5e5, "llama-bpe"),
    )
}

FILE_TYPE: Final = {"F16": 1, "Q4_0": 2, "Q8_0": 7, "Q4_K_M": 15, "Q5_K_M": 17}

_FALLBACK: Final = {"Q4_K": "Q5_0", "Q5_K": "Q5_1", "Q6_K": "Q8_0"}
"""llama-quantize's replacement where rows are no multiple of 256."""


def tensors(shape: Shape) -> list[tuple[str, tuple[int, ...], int | None]]:
    """(name, dimensions as GGUF counts them: row length first, layer) of every tensor."""
    width, attention, narrow = shape.embedding, shape.heads * shape.head, shape.heads_kv * shape.head
    made: list[tuple[str, tuple[int, ...], int | None]] = [("token_embd.weight", (width, shape.vocabulary), None)]
    for i in range(shape.layers):
        prefix = f"blk.{i}."
        made.append((prefix + "attn_norm.weight", (width,), i))
        for part, rows in (("attn_q", attention), ("attn_k", narrow), ("attn_v", narrow)):
            made.append((f"{prefix}{part}.weight", (width, rows), i))
            if shape.bias:
                made.append((f"{prefix}{part}.bias", (rows,), i))
        made.append((prefix + "attn_output.weight", (attention, width), i))
        made.append((prefix + "ffn_norm.weight", (width,), i))
        made.append((prefix + "ffn_gate.weight", (width, shape.feed_forward), i))
        made.append((prefix + "ffn_up.weight", (width, shape.feed_forward), i))
        made.append((prefix + "ffn_down.weight", (shape.feed_forward, width), i))
    made.append(("output_norm.weight", (width,), None))
    if not shape.tied:
        made.append(("output.weight", (width, shape.vocabulary), None))
    return made


def block_type(shape: Shape, quantization: str, name: str, dimensions: tuple[int, ...], layer: int | None) -> str:
    """The block type llama-quantize would give this tensor."""
    if len(dimensions) == 1:
        return "F32"
    if quantization in ("F16", "Q8_0"):
        return quantization
    is_output = name == "output.weight" or (shape.tied and name == "token_embd.weight")
    if quantization == "Q4_0":
        kind = "Q6_K" if is_output else "Q4_0"
    else:
        base = quantization.removesuffix("_M")
        more = is_output or (_more_bits(layer, shape.layers) and ("attn_v" in name or "ffn_down" in name))
        kind = "Q6_K" if more else base
    return kind if dimensions[0] % 256 == 0 else _FALLBACK.get(kind, kind)


def _more_bits(layer: int | None, layers: int) -> bool:
    if layer is None:
        return False
    return layer < layers // 8 or layer >= 7 * layers // 8 or (layer - layers // 8) % 3 == 2
