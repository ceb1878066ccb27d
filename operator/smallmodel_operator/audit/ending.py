"""How a request ended, from its status and Envoy's response flags: for metrics and for reports alike. Pure."""

from enum import StrEnum
from functools import lru_cache
from typing import Final

FAILURES: Final = frozenset({"UC", "UF", "UR", "LR", "UPE", "URX", "UT", "SI", "UMSDR", "UH", "UO"})
"""Envoy's response flags for an upstream that broke off, could not be reached or fell silent."""
LEFT: Final = "DC"


class Ending(StrEnum):
    """How a request ended."""

    SERVED = "served"
    FAILED = "failed"
    """5xx, or an answer that broke off."""
    LEFT = "left"
    """The caller closed its connection before it had the whole answer."""
    REFUSED = "refused"
    """4xx: not the model's doing."""


@lru_cache(256)
def split(flags: str) -> frozenset[str]:
    """Flags as the access log writes them: with commas between."""
    return frozenset(flags.split(","))


def ending(status: int, flags: frozenset[str]) -> Ending:
    """`status`: 0 when there was none."""
    if LEFT in flags:
        return Ending.LEFT
    if status >= 500 or status == 0 or flags & FAILURES:
        return Ending.FAILED
    return Ending.REFUSED if status >= 400 else Ending.SERVED
