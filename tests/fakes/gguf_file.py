"""Small GGUF files, byte by byte: whole ones, and ones broken in exactly one place."""

import struct
from collections.abc import Mapping, Sequence
from typing import Any

from smallmodel_operator.weights.gguf_types import BLOCKS

_CODES = {name: code for code, (name, _, _) in BLOCKS.items()}

BASE: Mapping[str, Any] = {
    "general.architecture": "llama",
    "general.name": "Support bot",
    "general.license": "apache-2.0",
    "general.file_type": 2,
    "llama.block_count": 2,
    "llama.context_length": 2048,
    "llama.embedding_length": 64,
    "llama.feed_forward_length": 256,
    "llama.attention.head_count": 4,
    "llama.attention.head_count_kv": 2,
    "tokenizer.ggml.tokens": ["<s>", "a", "b", "c"],
    "tokenizer.ggml.scores": [0.0, 1.0, 2.0, 3.0],
}
TENSORS: Sequence[tuple[str, tuple[int, ...], str]] = (
    ("token_embd.weight", (64, 4), "Q8_0"),
    ("blk.0.attn_q.weight", (64, 64), "Q4_0"),
    ("blk.0.attn_norm.weight", (64,), "F32"),
    ("output_norm.weight", (65,), "F32"),
)


def build(
    changes: Mapping[str, Any] | None = None,
    tensors: Sequence[tuple[str, tuple[int, ...], str]] = TENSORS,
    version: int = 3,
    alignment: int = 32,
    *,
    empty: bool = False,
) -> bytes:
    """A whole file. `changes` override or (None) remove keys; `empty`: without the bytes of the last tensor."""
    pairs = {k: v for k, v in {**BASE, **(changes or {})}.items() if v is not None}
    head = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(pairs))
    head += b"".join(string(k) + value(v) for k, v in pairs.items())
    offset, sizes = 0, []
    for name, shape, kind in tensors:
        _, elements, size = BLOCKS[_CODES[kind]]
        count = 1
        for dimension in shape:
            count *= dimension
        head += string(name) + struct.pack(f"<I{len(shape)}Q", len(shape), *shape)
        head += struct.pack("<IQ", _CODES[kind], offset)
        sizes.append(count // elements * size)
        offset += -(-sizes[-1] // alignment) * alignment
    head += bytes(-len(head) % alignment)
    data = b"".join(bytes(size) + bytes(-size % alignment) for size in sizes[:-1])
    return head + data + bytes(sizes[-1] if sizes and not empty else 0)


def string(text: str) -> bytes:
    raw = text.encode()
    return struct.pack("<Q", len(raw)) + raw


def value(item: Any) -> bytes:
    """A typed value: bool, int (uint32), float, str, and lists of them."""
    if isinstance(item, list):
        kind, packed = _typed(item[0] if item else 0)
        return struct.pack("<IIQ", 9, kind, len(item)) + b"".join(_typed(i)[1] for i in item) + packed[:0]
    kind, packed = _typed(item)
    return struct.pack("<I", kind) + packed


def _typed(item: Any) -> tuple[int, bytes]:
    if isinstance(item, bool):
        return 7, struct.pack("<?", item)
    if isinstance(item, int):
        return 4, struct.pack("<I", item)
    if isinstance(item, float):
        return 6, struct.pack("<f", item)
    return 8, string(item)
