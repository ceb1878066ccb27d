"""Which tensors llama.cpp's CPU backend copies into another layout at load, and how large the copies are.

Every x86-64 processor with AVX2 gets copies of a few types. With Intel's matrix unit (AMX) the engine copies most types
into that unit's layout instead, in which blocks of some types grow.
"""

from dataclasses import dataclass
from math import prod
from typing import Final

from smallmodel_operator.weights.gguf_types import BLOCKS, EMBEDDING

REPACKED: Final = {"Q4_0", "Q4_K", "Q2_K", "IQ4_NL", "MXFP4"}
"""Copied on x86-64 with AVX2 (Q2_K: AVX-512)."""
REPACKED_ROWS: Final = 8
"""It interleaves so many rows."""
AMX_GROWTH: Final = {"F16": 0, "Q4_0": 0, "Q4_1": 0, "Q8_0": 4, "Q4_K": 4, "Q5_K": 4, "Q6_K": 0, "IQ4_XS": 2}
"""Types copied for AMX -> bytes by which each of their blocks grows (llama.cpp, ggml-cpu/amx/mmq.cpp)."""
AMX_ROWS: Final = 32
AMX_HALVES: Final = 16
"""Rows of F16 are multiples of this."""
_BLOCKS: Final = {name: (elements, size) for name, elements, size in BLOCKS.values()}


@dataclass(frozen=True, slots=True)
class Copies:
    """Bytes of the copies of some tensors: on any processor (`plain`), on one with AMX (`amx`), and by how much those
    for AMX are larger than what they were copied from (`growth`)."""

    plain: int = 0
    amx: int = 0
    growth: int = 0

    def __add__(self, other: "Copies") -> "Copies":
        return Copies(self.plain + other.plain, self.amx + other.amx, self.growth + other.growth)


def of_tensor(name: str, block: str, shape: tuple[int, ...]) -> Copies:
    """The copies of one tensor, if it is multiplied with."""
    if len(shape) < 2 or name == f"per_layer_{EMBEDDING}":  # the latter is looked up in only
        return Copies()
    elements, stored = _BLOCKS[block]
    blocks = prod(shape) // elements
    plain = blocks * stored if block in REPACKED and shape[1] and shape[1] % REPACKED_ROWS == 0 else 0
    if not _for_amx(block, shape):
        return Copies(plain, plain)
    grown = blocks * AMX_GROWTH[block]
    return Copies(plain, blocks * stored + grown, grown)


def _for_amx(block: str, shape: tuple[int, ...]) -> bool:
    """A stack of matrices (experts) is multiplied by another operation, which has no such form."""
    row = AMX_HALVES if block == "F16" else 1
    matrix = all(n == 1 for n in shape[2:])
    return block in AMX_GROWTH and matrix and shape[1] > 0 and shape[1] % AMX_ROWS == 0 and shape[0] % row == 0
