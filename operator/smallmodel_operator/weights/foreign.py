"""Names what a file is that is not GGUF, so that the message can say the way out.

What can run code when it is loaded (pickle, and what holds pickles) has a reason of its own. It is told by its first
bytes, under whatever name it comes; the name alone decides only where the bytes say nothing.
"""

import re
from collections.abc import Callable
from typing import Final

from smallmodel_operator.api.conditions import Reason
from smallmodel_operator.weights.refusal import BadWeights, invalid

MAGIC: Final = b"GGUF"
AGAIN: Final = "Copy or convert the file again."
CONVERT: Final = "Convert the model with llama.cpp's convert_hf_to_gguf.py."
BIG_ENDIAN: Final = "The GGUF file is big endian. Convert it with `gguf-convert-endian FILE little`."
UNSAFE_SUFFIXES: Final = (
    ".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".joblib", ".npy", ".npz", ".h5", ".hdf5", ".keras", ".dill",
)  # fmt: skip
"""Names under which formats come that can run code when they are loaded."""
PREFERRED: Final = (
    "Only GGUF is loaded: take the publisher's GGUF or safetensors files, and convert safetensors with llama.cpp's "
    "convert_hf_to_gguf.py."
)

_Test = Callable[[bytes, bytes], bool]

# Protocols 0 and 1 have no magic: an opcode that calls a global by module and name, on lines of their own.
_OLD_PICKLE: Final = re.compile(rb"\A(?:[(\]}l\x80-\x85]|[dlt]p?\d*\n)*c[A-Za-z_][\w.]*\n[A-Za-z_][\w.]*\n")
_OLD_CONTAINER: Final = re.compile(rb"\A\((?:d|l|t)p?\d*\n|\A[(\]}]q\x00")
_PICKLED_ZIP: Final = re.compile(rb"[ -~]{0,120}?(?:data\.pkl|\.npy|constants\.pkl|byteorder|code/[ -~]*\.py)")


def _starts(*prefixes: bytes) -> _Test:
    return lambda start, text: start.startswith(prefixes)


def _says(*prefixes: bytes) -> _Test:
    return lambda start, text: text.startswith(prefixes)


def _safetensors(start: bytes, text: bytes) -> bool:
    return start[8:9] == b"{" and int.from_bytes(start[:8], "little") < 2**32


def _pickle(start: bytes, text: bytes) -> bool:
    new = start[:1] == b"\x80" and start[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05")
    return new or bool(_OLD_PICKLE.match(start) or _OLD_CONTAINER.match(start))


def _torch_zip(start: bytes, text: bytes) -> bool:
    """The name of the first member: torch.save begins with NAME/data.pkl, numpy's archives hold *.npy."""
    if not start.startswith(b"PK\x03\x04"):
        return False
    length = int.from_bytes(start[26:28], "little")
    return bool(_PICKLED_ZIP.match(start[30 : 30 + length]))


def _torch_tar(start: bytes, text: bytes) -> bool:
    return start[257:262] == b"ustar" and start[:100].rstrip(b"\0") in (b"sys_info", b"pickle", b"storages", b"tensors")


_UNSAFE: Final[tuple[tuple[_Test, str], ...]] = (
    (_pickle, "a Python pickle (PyTorch's .bin, .pt, .pth and .ckpt, joblib, scikit-learn)"),
    (_torch_zip, "a PyTorch checkpoint (a zip archive with a pickle in it)"),
    (_torch_tar, "an old PyTorch checkpoint (a tar archive with pickles in it)"),
    (_starts(b"\x93NUMPY"), "a NumPy file, which may hold pickled objects"),
    (_starts(b"\x89HDF\r\n\x1a\n"), "an HDF5 file (Keras), which may hold code"),
    (_starts(b"ZF"), "a joblib file (compressed pickle)"),
)

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
    (_starts(b"PK\x03\x04"), f"The file is a zip archive, not a GGUF file. {CONVERT}"),
    (
        _safetensors,
        f"The file is in safetensors format, not GGUF; the engine LlamaCpp does not serve it. {CONVERT}",
    ),
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


def refusal(start: bytes, file_bytes: int, name: str = "") -> BadWeights:
    """What a file is that is not GGUF, from its first bytes and, where they say nothing, from its name."""
    if not file_bytes:
        return invalid(f"The file is empty. {AGAIN}")
    text = start.lstrip()[:64].lower()
    unsafe = next((kind for test, kind in _UNSAFE if test(start, text)), None)
    if unsafe is not None:
        return _unsafe(f"The file is {unsafe}", file_bytes)
    said = next((message for test, message in _KINDS if test(start, text)), None)
    if said is None and name.lower().endswith(UNSAFE_SUFFIXES):
        return _unsafe("The file is no GGUF, and by its name in a format of pickles", file_bytes)
    if said is None:
        said = f"The file is not a GGUF file (it begins with {start[:4]!r}). {CONVERT}"
    return invalid(f"{said} It has {file_bytes} bytes.")


def _unsafe(what: str, file_bytes: int) -> BadWeights:
    return BadWeights(
        Reason.UNSAFE_FORMAT,
        f"{what}. Such a file can run any code when it is loaded, and never is. {PREFERRED} It has {file_bytes} bytes.",
    )
