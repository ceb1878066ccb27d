"""Lengths of prompts as counts in bins a fourth of an octave wide: a histogram that gateways can add up. Pure."""

import math
from collections.abc import Sequence
from operator import mul
from typing import Final

LOWEST: Final = 8.0
BINS: Final = 56
"""Up to about 120,000 tokens."""
NOTHING: Final = (0.0,) * BINS
POINTS: Final = 12


def bin_of(tokens: int) -> int:
    return min(BINS - 1, max(0, int(4 * math.log2(tokens / LOWEST)))) if tokens > LOWEST else 0


_LENGTHS: Final = tuple(LOWEST * 2 ** ((number + 0.5) / 4) for number in range(BINS))
"""What a request of each bin is taken for."""


def mean(counts: Sequence[float]) -> float:
    """Of the lengths; 0 of none."""
    total = sum(counts)
    return sum(map(mul, counts, _LENGTHS)) / total if total else 0.0


def quantiles(counts: Sequence[float]) -> tuple[tuple[float, float], ...]:
    """(tokens, share) points that stand for the counts, each for an equal part of requests or of tokens, whichever is
    less: the few long prompts decide who is late."""
    total = sum(counts)
    all_tokens = sum(map(mul, counts, _LENGTHS))
    points: list[tuple[float, float]] = []
    tokens = share = 0.0
    for counted, length in zip(counts, _LENGTHS, strict=True):
        tokens += counted * length
        share += counted
        if share and (share >= total / POINTS or tokens >= all_tokens / POINTS):
            points.append((round(tokens / share, 1), share / total))
            tokens = share = 0.0
    if share:
        points.append((round(tokens / share, 1), share / total))
    return tuple(points)
