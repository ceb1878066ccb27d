"""What llama-quantize will make of tensors: their size in another type, before it is made.

The rules are those of llama.cpp for the types this operator makes; a test holds them against the tool itself.
"""

import re
from collections.abc import Iterable
from math import prod
from typing import Final

from smallmodel_operator.weights.copies import Copies, of_tensor
from smallmodel_operator.weights.gguf_types import BLOCKS, EMBEDDING

OUTPUT: Final = "output.weight"
_SIZES: Final = {name: (elements, size) for name, elements, size in BLOCKS.values()}
_BASE: Final = {"F16": "F16", "BF16": "BF16", "Q8_0": "Q8_0", "Q6_K": "Q6_K", "Q5_K_M": "Q5_K", "Q4_K_M": "Q4_K"}
_FALLBACK: Final = {"Q4_K": "Q5_0", "Q5_K": "Q5_1", "Q6_K": "Q8_0"}
"""What rows get that are no multiple of a K-quant's 256."""
_LAYER: Final = re.compile(r"^blk\.(\d+)\.")

Tensor = tuple[str, tuple[int, ...]]
"""Name as GGUF has it, and dimensions as GGUF counts them: the length of a row first."""


def size(kind: str, tensors: Iterable[Tensor]) -> tuple[int, Copies]:
    """Bytes of all tensors as they will be stored, and what the engine copies of them."""
    found = list(tensors)
    names = {name for name, _ in found}
    layers = 1 + max((int(m[1]) for name, _ in found if (m := _LAYER.match(name))), default=-1)
    stored, copied = 0, Copies()
    for name, shape in found:
        block = _block(kind, name, shape, layers, tied=OUTPUT not in names)
        elements, length = _SIZES[block]
        count = prod(shape) // elements * length
        stored += count
        looked_up_only = name == EMBEDDING and OUTPUT in names
        copied += Copies() if looked_up_only else of_tensor(name, block, shape)
    return stored, copied


def _block(kind: str, name: str, shape: tuple[int, ...], layers: int, *, tied: bool) -> str:
    if len(shape) == 1 or "ffn_gate_inp" in name or not name.endswith("weight"):
        return "F32"
    base = _BASE[kind]
    if kind in ("Q5_K_M", "Q4_K_M"):
        match = _LAYER.match(name)
        careful = ("attn_v." in name or "ffn_down" in name) and match and _more_bits(int(match[1]), layers)
        if name == OUTPUT or (tied and name == EMBEDDING) or careful:
            base = "Q6_K"
    if shape[0] % _SIZES[base][0]:
        base = _FALLBACK.get(base, base)
    return base if shape[0] % _SIZES[base][0] == 0 else "F16"


def _more_bits(layer: int, layers: int) -> bool:
    """The first and the last eighth of the layers, and every third between them."""
    return layer < layers // 8 or layer >= 7 * layers // 8 or (layer - layers // 8) % 3 == 2
