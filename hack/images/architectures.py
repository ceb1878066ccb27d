"""The architectures an engine's library knows: `python -m hack.images.architectures LIBLLAMA.SO` prints them."""

import re
import sys
from pathlib import Path

import gguf

FIRST, LAST = b"\0clip\0llama\0", b"\0(unknown)\0"
"""What stands before and behind the names in the library's constants."""
NAME = re.compile(r"[a-z0-9][-_.a-z0-9]*")


def table(library: Path) -> frozenset[str]:
    """Names of the table LLM_ARCH_NAMES.

    The linker stores a name that is the end of another one inside it (`bert` in `modern-bert`); those are the names the
    gguf package knows that end one in the table.
    """
    data = library.read_bytes()
    begin = data.index(FIRST)
    text = data[begin + 1 : data.index(LAST, begin)].decode()
    written = {name for name in text.split("\0") if NAME.fullmatch(name)}
    merged = {name for name in gguf.MODEL_ARCH_NAMES.values() if f"{name}\0".encode() in data}
    return frozenset(written | merged)


if __name__ == "__main__":
    print("\n".join(sorted(table(Path(sys.argv[1])))))
