"""What is kept of one request, as its decision's record says it. Pure."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

OMITTED: Final = "slm.content.omitted"
"""In the record of a decision: why nothing is kept of a request, though its route says so."""


@dataclass(frozen=True, slots=True)
class Kept:
    """`said`: beside the decision; `line`: what is written before its record, encrypted; empty: nothing is kept.

    `failed`: something does not work that should. Else there is nothing in the request that could be kept.
    """

    said: Mapping[str, str] = field(default_factory=dict)
    line: bytes = b""
    failed: bool = False


NOTHING: Final = Kept()
Seen = Callable[..., Awaitable[Any]]
"""What a look finds, in a thread where the request is large; raises `Unseen`."""


def omitted(why: str, *, failed: bool = False) -> Kept:
    """Nothing is. `why`: a word in CamelCase."""
    return Kept({OMITTED: why}, failed=failed)
