"""Tensor shapes, vocabulary sizes and block types of real models, as their published configurations state them."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Shape:
    """A decoder. `tied`: the output uses the token embedding. `bias`: query, key and value have biases.

    `window`: tokens a layer of sliding-window attention looks back on, in all layers but every sixth (gemma3).
    `experts`: number of feed-forward networks in a layer and how many of them a token uses (granitemoe).
    """

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
    window: int = 0
    experts: tuple[int, int] = (0, 0)


SHAPES: Final = {
    shape.name: shape
    for shape in (
        # Qwen2.5-0.5B-Instruct
        Shape("0.5b", "qwen2", 24, 896, 4864, 14, 2, 64, 151_936, 151_387, 32_768, True, True, 1e6, "qwen2"),
        # Llama-3.2-1B-Instruct
        Shape("1b", "llama", 16, 2048, 8192, 32, 8, 64, 128_256, 280_147, 131_072, True, False, 5e5, "llama-bpe"),
        # Llama-3.2-3B-Instruct
        Shape("3b", "llama", 28, 3072, 8192, 24, 8, 128, 128_256, 280_147, 131_072, True, False, 5e5, "llama-bpe"),
        # Llama-3.1-8B-Instruct
        Shape("8b", "llama", 32, 4096, 14_336, 32, 8, 128, 128_256, 280_147, 131_072, False, False, 5e5, "llama-bpe"),
        # gemma-3-270m-it: its vocabulary without merge rules is SentencePiece's
        Shape("gemma", "gemma3", 18, 640, 2048, 4, 1, 256, 262_144, 0, 32_768, True, False, 1e6, "default", 512),
        # granite-3.1-1b-a400m-instruct
        Shape(
            "moe", "granitemoe", 24, 1024, 512, 16, 8, 64, 49_155, 48_891, 131_072, True, False, 5e6, "refact",
            experts=(32, 8),
        ),
    )
}  # fmt: skip

FILE_TYPE: Final = {"F16": 1, "Q4_0": 2, "Q8_0": 7, "Q4_K_M": 15, "Q5_K_M": 17, "Q6_K": 18}

_FALLBACK: Final = {"Q4_K": "Q5_0", "Q5_K": "Q5_1", "Q6_K": "Q8_0"}
"""llama-quantize's replacement where rows are no multiple of 256."""

Tensor = tuple[str, tuple[int, ...], int | None]
"""Name, dimensions as GGUF counts them (row length first), layer."""


def tensors(shape: Shape) -> list[Tensor]:
    """Every tensor in file order."""
    width = shape.embedding
    made: list[Tensor] = [("token_embd.weight", (width, shape.vocabulary), None)]
    for i in range(shape.layers):
        made += [(f"blk.{i}.{name}", dimensions, i) for name, dimensions in (*_attention(shape), *_feed_forward(shape))]
    made.append(("output_norm.weight", (width,), None))
    if not shape.tied:
        made.append(("output.weight", (width, shape.vocabulary), None))
    return made


def _attention(shape: Shape) -> list[tuple[str, tuple[int, ...]]]:
    width, attention, narrow = shape.embedding, shape.heads * shape.head, shape.heads_kv * shape.head
    made: list[tuple[str, tuple[int, ...]]] = [("attn_norm.weight", (width,))]
    for part, rows in (("attn_q", attention), ("attn_k", narrow), ("attn_v", narrow)):
        made.append((f"{part}.weight", (width, rows)))
        if shape.bias:
            made.append((f"{part}.bias", (rows,)))
    made.append(("attn_output.weight", (attention, width)))
    if shape.window:
        norms = (("attn_q_norm", shape.head), ("attn_k_norm", shape.head), ("post_attention_norm", width))
        made += [(f"{name}.weight", (length,)) for name, length in norms]
    return made


def _feed_forward(shape: Shape) -> list[tuple[str, tuple[int, ...]]]:
    width, inner, experts = shape.embedding, shape.feed_forward, shape.experts[0]
    made: list[tuple[str, tuple[int, ...]]] = [("ffn_norm.weight", (width,))]
    if experts:
        made.append(("ffn_gate_inp.weight", (width, experts)))
    suffix, more = ("_exps", (experts,)) if experts else ("", ())
    made += [(f"ffn_{part}{suffix}.weight", (width, inner, *more)) for part in ("gate", "up")]
    made.append((f"ffn_down{suffix}.weight", (inner, width, *more)))
    if shape.window:
        made.append(("post_ffw_norm.weight", (width,)))
    return made


def block_type(shape: Shape, quantization: str, name: str, dimensions: tuple[int, ...], layer: int | None) -> str:
    """The block type llama-quantize would give this tensor."""
    if len(dimensions) == 1 or "ffn_gate_inp" in name:
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
