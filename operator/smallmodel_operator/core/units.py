"""Kubernetes quantities as integers: bytes, milli-CPU. No floats reach an object we write."""

import math
import re
from decimal import Decimal, InvalidOperation
from functools import lru_cache

_SUFFIX = {
    "": Decimal(1), "n": Decimal("1e-9"), "u": Decimal("1e-6"), "m": Decimal("1e-3"),
    "k": Decimal(10) ** 3, "M": Decimal(10) ** 6, "G": Decimal(10) ** 9,
    "T": Decimal(10) ** 12, "P": Decimal(10) ** 15, "E": Decimal(10) ** 18,
    "Ki": Decimal(2) ** 10, "Mi": Decimal(2) ** 20, "Gi": Decimal(2) ** 30,
    "Ti": Decimal(2) ** 40, "Pi": Decimal(2) ** 50, "Ei": Decimal(2) ** 60,
}  # fmt: skip
_QUANTITY = re.compile(r"^([+-]?[0-9.]+(?:[eE][+-]?[0-9]+)?)(n|u|m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$")

MIB = 2**20


def quantity(text: str | int | float) -> Decimal:
    """A Kubernetes quantity as an exact number.

    Raises:
        ValueError: the text is not a quantity.
    """
    found = _quantity(str(text))
    if found is None:
        raise ValueError(f"{text!r} is not a Kubernetes quantity (like 512Mi, 2Gi or 500m)")
    return found


@lru_cache(maxsize=1024)
def _quantity(text: str) -> Decimal | None:
    """Thousands of pods request the same few amounts, and are looked at every few seconds."""
    match = _QUANTITY.match(text)
    try:
        return Decimal(match[1]) * _SUFFIX[match[2] or ""] if match else None
    except InvalidOperation:
        return None


def to_bytes(text: str | int) -> int:
    """Bytes of a quantity, rounded up."""
    return math.ceil(quantity(text))


def to_cores(text: str | int) -> int:
    """Whole cores of a CPU quantity, rounded up, at least 1: what `--threads` can use."""
    return max(1, math.ceil(quantity(text)))


def mebibytes(value: int) -> str:
    """A byte count as a quantity in Mi, rounded up: stable text, so that no-op applies stay no-ops."""
    return f"{max(1, math.ceil(value / MIB))}Mi"


def human(value: int) -> str:
    """A byte count for messages: `4.6 GiB`, `153 MiB`."""
    return f"{value / 2**30:.1f} GiB" if value >= 2**30 else f"{math.ceil(value / MIB)} MiB"
