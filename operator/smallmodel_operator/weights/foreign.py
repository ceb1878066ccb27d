"""Names what a file is that is not GGUF, so that the message can say the way out."""

from collections.abc import Callable
from typing import Final

MAGIC: Final = b"GGUF"
AGAIN: Final = "Copy or convert the file again."
CONVERT: Final = "Convert the model with llama.cpp's convert_hf_to_gguf.py."
BIG_ENDIAN: Final = "The GGUF file is big endian. Convert it with `gguf-convert-endian FILE little`."

_Test = Callable[[bytes, bytes], bool]


def _starts(*prefixes: bytes) -> _Test:
    return lambda start, text: start.startswith(prefixes)


def _says(*prefixes: bytes) -> _Test:
    return lambda start, text: text.startswith(prefixes)


def _safetensors(start: bytes, text: bytes) -> bool:
    return start[8:9] == b"{" and int.from_bytes(start[:8], "little") < 2**32


_KINDS: Final[tuple[tuple[_Test, str], ...]] = (
    (_starts(MAGIC), f"The file is cut short: it is shorter than a GGUF header. {AGAIN}"),
    (_starts(MAGIC[::-1]), BIG_ENDIAN),
    (
        _says(b"version https://git-lfs"),
        "The file is a git-lfs pointer, not the weights. Run `git lfs pull` and copy the real file.",
    ),
    (
        _says(b"<!doctype html", b"<html", b"<?xml", b"<head"),
        "The file is a web page, not a GGUF file: a login or error page was saved. Fetch the file itself.",
    ),
    (_starts(b"PK\x03\x04"), f"The file is a zip archive or a PyTorch checkpoint, not a GGUF file. {CONVERT}"),
    (_safetensors, f"The file is in safetensors format, not GGUF. {CONVERT}"),
    (
        _starts(b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"\xfd7zX", b"BZh"),
        "The file is compressed. Unpack it; GGUF files are read as they are.",
    ),
    (
        _starts(b"lmgg", b"fmgg", b"tjgg"),
        "The file is in llama.cpp's format from before GGUF. Convert the model again with a current llama.cpp.",
    ),
    (_says(b"{"), "The file is JSON text, not a GGUF file. Name the *.gguf file in `spec.source.path`."),
)


def looks_like(start: bytes, file_bytes: int) -> str:
    """A sentence about a file that is not GGUF, from its first bytes."""
    if not file_bytes:
        return f"The file is empty. {AGAIN}"
    text = start.lstrip()[:64].lower()
    said = next((message for test, message in _KINDS if test(start, text)), None)
    if said is None:
        said = f"The file is not a GGUF file (it begins with {start[:4]!r}). {CONVERT}"
    return f"{said} It has {file_bytes} bytes."
