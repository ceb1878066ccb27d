"""Where the test bed keeps things: one cache folder, nothing else on the host."""

import os
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
TOOLS = REPOSITORY / "hack" / "tools"


def cache() -> Path:
    """The cache folder: SLM_CACHE, else XDG_CACHE_HOME/smallmodel, else ~/.cache/smallmodel."""
    root = os.environ.get("SLM_CACHE")
    if root:
        return Path(root)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "smallmodel"
