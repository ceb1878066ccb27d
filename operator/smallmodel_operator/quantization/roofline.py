"""How fast one token can come at best: a token reads the weights once, and no faster than the memory gives them. Pure.

It is a bound, not a forecast: what is measured is slower. The embedding is a look-up of one row and is left out; where
it is the output's matrix too it is read after all, so the bound is easier than the truth there. Of a model of experts
only some are read, and the header does not say how large they are: nothing is said of those.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pace:
    """What is asked of a type: a token in at most `seconds`, from memory that gives `bandwidth` bytes a second."""

    seconds: float
    bandwidth: int


def token_bytes(tensor_bytes: int, embedding_bytes: int, experts: int) -> int:
    """Bytes read for one token at least; 0: not known."""
    return 0 if experts else max(0, tensor_bytes - embedding_bytes)


def token_seconds(read: int, bandwidth: int | None) -> float:
    """Seconds of one token at least; 0: not known."""
    return read / bandwidth if bandwidth else 0.0
