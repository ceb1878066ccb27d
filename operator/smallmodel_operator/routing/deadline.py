"""How long a request says its answer may take. Pure; times in seconds."""

import re
from typing import Final

HEADER: Final = "x-deadline-ms"
"""Where a caller says it, in whole milliseconds."""
MOST_MILLISECONDS: Final = 24 * 3600 * 1000
_DIGITS: Final = re.compile(r"[0-9]{1,9}", re.ASCII)


def seconds(said: str) -> float | None:
    """What the header says; None: no time that could be kept.

    Several of it are one text with commas, which is none.
    """
    text = said.strip()
    if not _DIGITS.fullmatch(text) or not 1 <= int(text) <= MOST_MILLISECONDS:
        return None
    return int(text) / 1000
