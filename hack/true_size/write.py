"""Write GGUF files of true size: real shapes, vocabulary and block types, random weights.

For measuring memory, speed and cold start. Every block is valid (scales are finite and small), so llama.cpp loads
the file and answers nonsense at the speed of the real model. The same arguments always write the same bytes.
"""

import argparse
import os
import struct
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import gguf
import numpy as np
from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

from hack.cluster.paths import cache
from hack.true_size.shapes import FILE_TYPE, SHAPES, Shape, block_type, tensors

SEED = 20_261_121
TILE_BLOCKS = 65_536
"""Blocks in the random tile that is written again and again from another start: fast, and unlike any file of zeros."""
ALIGNMENT = 32
SCALE = 2.0**-10
"""Typical size of one weight after scaling; small enough that no activation overflows in half precision."""


def folder() -> Path:
    """Where the files are kept; never in the repository."""
    return cache() / "true-size"


def tile(kind: str, generator: np.random.Generator) -> bytes:
    """Random valid blocks of one type: random quants, scales that are small half-precision numbers."""
    quant = gguf.GGMLQuantizationType[kind]
    elements, size = gguf.GGML_QUANT_SIZES[quant]
    count = TILE_BLOCKS if elements > 1 else TILE_BLOCKS * 8
    if kind == "F32":
        return (1 + generator.standard_normal(count, dtype=np.float32) * SCALE).tobytes()
    if kind == "F16":
        return (generator.standard_normal(count, dtype=np.float32) * SCALE * 8).astype(np.float16).tobytes()
    blocks = generator.integers(0, 256, (count, size), dtype=np.uint8)
    for offset, factor in _SCALES[kind]:
        scale = (generator.random(count, dtype=np.float32) * factor + factor / 2).astype("<f2")
        blocks[:, offset : offset + 2] = scale.view(np.uint8).reshape(count, 2)
    return blocks.tobytes()


# (offset of a half-precision scale in the block, its size): the quants multiply it by up to 8, 16, 127 or 63*15.
_SCALES = {
    "Q4_0": [(0, SCALE / 4)],
    "Q5_0": [(0, SCALE / 8)],
    "Q5_1": [(0, SCALE / 16), (2, SCALE / 16)],
    "Q8_0": [(0, SCALE / 64)],
    "Q4_K": [(0, SCALE / 256), (2, SCALE / 256)],
    "Q5_K": [(0, SCALE / 512), (2, SCALE / 512)],
    "Q6_K": [(208, SCALE / 1024)],
}


def size_of(kind: str, dimensions: tuple[int, ...]) -> int:
    elements, size = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[kind]]
    return int(np.prod(dimensions, dtype=np.int64)) // elements * size


def vocabulary(shape: Shape) -> tuple[list[bytes], list[int], list[bytes]]:
    """A byte-level vocabulary: 256 bytes, made-up pieces, three control tokens at its end; and merge rules."""
    alphabet = _byte_alphabet() if shape.merges else [f"<0x{byte:02X}>".encode() for byte in range(256)]
    space = "Ġ" if shape.merges else "▁"
    pieces = alphabet + [f"{space}{i:x}".encode() for i in range(shape.vocabulary - len(alphabet) - 3)]
    pieces += [b"<|begin_of_text|>", b"<|end_of_text|>", b"<|eot_id|>"]
    normal, control, byte = 1, 3, 6
    first = normal if shape.merges else byte
    kinds = [first] * len(alphabet) + [normal] * (shape.vocabulary - len(alphabet) - 3) + [control] * 3
    # As many rules as the real tokenizer has, of about its lengths: they are a good part of its memory.
    merges = [f"Ġ{i // 16:x} {i % 16:x}".encode() for i in range(shape.merges)]
    return pieces, kinds, merges


def _byte_alphabet() -> list[bytes]:
    """GPT-2's printable stand-ins for the 256 bytes."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    codes = dict(zip(plain, plain, strict=True))
    for byte in range(256):
        codes.setdefault(byte, 256 + sum(1 for b in range(byte) if b not in plain))
    return [chr(codes[b]).encode() for b in range(256)]


def header(shape: Shape, quantization: str) -> tuple[bytes, list[tuple[str, int]]]:
    """The GGUF header, padded, and (block type, bytes) of every tensor in file order."""
    a = shape.architecture
    pieces, kinds, _ = vocabulary(shape)
    last = shape.vocabulary - 1
    pairs: list[bytes] = [
        _text("general.architecture", a),
        _text("general.name", f"True size {shape.name}, random weights"),
        _u32("general.file_type", FILE_TYPE[quantization]),
        _u32("general.quantization_version", 2),
        _u32("general.alignment", ALIGNMENT),
        _u32(f"{a}.block_count", shape.layers),
        _u32(f"{a}.context_length", shape.context),
        _u32(f"{a}.embedding_length", shape.embedding),
        _u32(f"{a}.feed_forward_length", shape.feed_forward),
        _u32(f"{a}.attention.head_count", shape.heads),
        _u32(f"{a}.attention.head_count_kv", shape.heads_kv),
        _u32(f"{a}.attention.key_length", shape.head),
        _u32(f"{a}.attention.value_length", shape.head),
        _u32(f"{a}.rope.dimension_count", shape.head),
        _u32(f"{a}.vocab_size", shape.vocabulary),
        _f32(f"{a}.attention.layer_norm_rms_epsilon", 1e-5),
        _f32(f"{a}.rope.freq_base", shape.rope_base),
        _text("tokenizer.ggml.model", "gpt2" if shape.merges else "llama"),
        _text("tokenizer.ggml.pre", shape.pre_tokenizer),
        _array("tokenizer.ggml.tokens", 8, [_string(p) for p in pieces]),
        _array("tokenizer.ggml.token_type", 5, [struct.pack("<i", k) for k in kinds]),
        *_of_architecture(shape),
        _u32("tokenizer.ggml.bos_token_id", last - 2),
        _u32("tokenizer.ggml.eos_token_id", last - 1),
        _text(
            "tokenizer.chat_template",
            "{% for m in messages %}{{ m['role'] + ': ' + m['content'] + '\\n' }}{% endfor %}assistant: ",
        ),
    ]
    infos, parts, offset = [], [], 0
    for name, dimensions, layer in tensors(shape):
        kind = block_type(shape, quantization, name, dimensions, layer)
        size = size_of(kind, dimensions)
        code = int(gguf.GGMLQuantizationType[kind])
        dims = struct.pack(f"<I{len(dimensions)}Q", len(dimensions), *dimensions)
        infos.append(_string(name.encode()) + dims + struct.pack("<IQ", code, offset))
        parts.append((kind, size))
        offset = _aligned(offset + size)
    head = b"GGUF" + struct.pack("<IQQ", 3, len(infos), len(pairs)) + b"".join(pairs) + b"".join(infos)
    return head + bytes(_aligned(len(head)) - len(head)), parts


def _of_architecture(shape: Shape) -> list[bytes]:
    """Keys only some have: SentencePiece has scores instead of merge rules."""
    a = shape.architecture
    pieces, _, merges = vocabulary(shape)
    if merges:
        made = [_array("tokenizer.ggml.merges", 8, [_string(m) for m in merges])]
    else:
        made = [_array("tokenizer.ggml.scores", 6, [struct.pack("<f", -float(i)) for i in range(len(pieces))])]
    if shape.window:
        made.append(_u32(f"{a}.attention.sliding_window", shape.window))
    if shape.experts[0]:
        made += [_u32(f"{a}.expert_count", shape.experts[0]), _u32(f"{a}.expert_used_count", shape.experts[1])]
        scales = {
            "attention.scale": 1 / shape.head,
            "embedding_scale": 12.0,
            "residual_scale": 0.22,
            "logit_scale": 6.0,
        }
        made += [_f32(f"{a}.{key}", value) for key, value in scales.items()]
    return made


def _aligned(value: int) -> int:
    return -(-value // ALIGNMENT) * ALIGNMENT


def _string(value: bytes) -> bytes:
    return struct.pack("<Q", len(value)) + value


def _text(key: str, value: str) -> bytes:
    return _string(key.encode()) + struct.pack("<I", 8) + _string(value.encode())


def _u32(key: str, value: int) -> bytes:
    return _string(key.encode()) + struct.pack("<II", 4, value)


def _f32(key: str, value: float) -> bytes:
    return _string(key.encode()) + struct.pack("<If", 6, value)


def _array(key: str, kind: int, items: list[bytes]) -> bytes:
    return _string(key.encode()) + struct.pack("<IIQ", 9, kind, len(items)) + b"".join(items)


def chunks(parts: list[tuple[str, int]], seed: int) -> Iterator[bytes | memoryview]:
    """The tensors' bytes: each from its type's tile, from a block of its own, so that no two tensors are alike."""
    generator = np.random.default_rng(seed)
    tiles = {kind: tile(kind, generator) for kind in sorted({kind for kind, _ in parts})}
    for kind, size in parts:
        block = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[kind]][1]
        source = tiles[kind]
        start = int(generator.integers(0, len(source) // block)) * block
        left = size
        while left:
            piece = memoryview(source)[start : start + min(left, len(source) - start)]
            yield piece
            left -= len(piece)
            start = 0
        if pad := _aligned(size) - size:
            yield bytes(pad)


def write(shape: Shape, quantization: str, target: Path) -> int:
    """Write one file (atomically) and return its size in bytes."""
    head, parts = header(shape, quantization)
    total = len(head) + sum(_aligned(size) for _, size in parts)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_suffix(f".{os.getpid()}.part")
    columns = ("{task.description}", BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    try:
        with part.open("wb") as file, Progress(*columns) as progress:
            task = progress.add_task(target.name, total=total)
            file.write(head)
            progress.advance(task, len(head))
            for chunk in chunks(parts, SEED):
                file.write(chunk)
                progress.advance(task, len(chunk))
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    return total


def ensure(name: str, quantization: str, where: Path | None = None) -> Path:
    """The file, written if it is not there."""
    target = (where or folder()) / f"{name}-{quantization}.gguf"
    if not target.exists():
        write(SHAPES[name], quantization, target)
    return target


DEFAULT = ("0.5b:Q4_0", "0.5b:Q4_K_M", "0.5b:Q5_K_M", "0.5b:Q8_0", "0.5b:F16", "3b:Q4_K_M", "8b:Q4_K_M")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", default=DEFAULT, metavar="SIZE:TYPE", help=f"default: {' '.join(DEFAULT)}")
    parser.add_argument("--folder", type=Path, default=None, help="default: the cache folder")
    options = parser.parse_args()
    for model in options.models:
        name, _, quantization = model.partition(":")
        if name not in SHAPES or quantization not in FILE_TYPE:
            parser.error(f"{model}: sizes are {', '.join(SHAPES)}, types are {', '.join(FILE_TYPE)}")
        began = time.monotonic()
        path = ensure(name, quantization, options.folder)
        print(f"{path} {path.stat().st_size / 2**20:.0f} MiB, {time.monotonic() - began:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
