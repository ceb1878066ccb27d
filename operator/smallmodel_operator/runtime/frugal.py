"""How often Python looks for garbage in circles."""

import gc
from typing import Final

LOOKS: Final = (20_000, 20, 20)
"""Objects more than were let go, until the youngest are looked at; and looks at those until the next older are. A look
at a thousand models makes some hundred thousand objects that last until the next one: with Python's own numbers
all that is kept was looked through several times in each."""


def settle() -> None:
    """What is there by now stays: it is not looked through again. What comes is looked through more seldom."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*LOOKS)
