"""Names of what lies beside a chain: `<the segment's number>.content`, a line for each request. Pure."""

from pathlib import Path
from typing import Final

SUFFIX: Final = ".content"


def content_of(segment: Path) -> Path:
    """The file of content beside a segment."""
    return segment.with_suffix(SUFFIX)
