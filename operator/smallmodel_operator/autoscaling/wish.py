"""For how long it is said that more replicas are wished for than come, as in a full pool. Pure; seconds.

What is there is kept for a while; what is only wished for comes and goes with the noise of the moment. The pool goes by
the moment. Who reads the status, and the API server, would be told each time.
"""

import math
from dataclasses import dataclass
from typing import Final

LASTS_SECONDS: Final = 60.0
"""After it was needed last."""


@dataclass(frozen=True, slots=True)
class Wish:
    """`replicas` that were said, and when so many were needed last; `current`: those there were then."""

    replicas: int = 0
    current: int = 0
    needed_at: float = -math.inf


def stands(wish: Wish, need: int, current: int, at: float) -> bool:
    """Is it still said, though fewer are needed at the moment? Never of what is there, nor where some may go."""
    lately = at - wish.needed_at < LASTS_SECONDS
    return lately and current == wish.current and current <= need < wish.replicas
