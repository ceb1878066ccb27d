"""`slm inspect-adapters`: read the headers of LoRA adapters and leave their sizes in the termination message."""

import os
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Final

from smallmodel_operator.api.conditions import Reason
from smallmodel_operator.cli.inspect_weights import MESSAGE_FILE, write
from smallmodel_operator.weights import gguf, result

MAX_LOOKED_AT: Final = 1000
"""Files of an image that are looked at to name those a user may have meant."""


def inspect(files: Mapping[str, Path], message_file: Path = MESSAGE_FILE) -> int:
    """Bytes of the tensors of each, by name. The exit code says whether trying again may help."""
    said: result.AdapterSizes | result.Failure
    try:
        said = result.AdapterSizes({name: size(name, file) for name, file in files.items()})
    except gguf.BadWeights as bad:
        said = result.Failure(bad.reason, bad.message)
    except OSError as error:
        said = result.Failure(Reason.INSPECTION_FAILED, f"The adapters cannot be read: {error}.", passing=True)
    return write(said, message_file)


def size(name: str, file: Path) -> int:
    """Bytes of the tensors of one adapter.

    Raises:
        BadWeights: there is no such file, or it is not a complete LoRA adapter in GGUF.
    """
    whose = f"Adapter {name!r}"
    if not file.is_file():
        raise gguf.BadWeights(
            Reason.WEIGHTS_NOT_FOUND,
            f"{whose}: its image holds no file `{file.name[-120:]}` there{_others(file)}. Correct its `source.path` in "
            "`spec.adapters`.",
        )
    try:
        with file.open("rb") as stream:
            header = gguf.read_header(stream, os.fstat(stream.fileno()).st_size, file.name)
    except gguf.BadWeights as bad:
        raise gguf.BadWeights(bad.reason, f"{whose}: {bad.message}") from None
    kinds = header.values.get("general.type"), header.values.get("adapter.type")
    if kinds != ("adapter", "lora"):
        raise gguf.invalid(
            f"{whose}: the file is not a LoRA adapter. llama.cpp's `convert_lora_to_gguf.py` makes one; correct its "
            "`source` in `spec.adapters`."
        )
    return sum(header.bytes_by_type.values())


def _others(missing: Path) -> str:
    """What lies where it should: in its folder, or in the nearest one above it that there is."""
    folder = next((p for p in missing.parents if p.is_dir()), None)
    entries = islice(folder.rglob("*"), MAX_LOOKED_AT) if folder else ()
    files = sorted(f.relative_to(folder).as_posix() for f in entries if folder and f.is_file())
    if not files:
        return "; there is no file at all"
    best = [f for f in files if f.endswith(".gguf")] or files
    return f"; there is {', '.join(f'`{f[-80:]}`' for f in best[:5])}{', …' if len(best) > 5 else ''}"
