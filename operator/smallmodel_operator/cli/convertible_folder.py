"""A folder of safetensors files that a GGUF file is to be made of: looked at, summed up, and shown to the converter."""

import shutil
from collections.abc import Mapping
from pathlib import Path

from smallmodel_operator.api.conditions import Reason
from smallmodel_operator.cli import inspect_folder
from smallmodel_operator.cli.inspect_weights import digest_of
from smallmodel_operator.core.facts import WeightsFacts
from smallmodel_operator.weights import convertible
from smallmodel_operator.weights.refusal import BadWeights, invalid


def look(folder: Path, artifact: str, name: str) -> WeightsFacts:
    """Facts of a folder of safetensors files of which a GGUF file can be made.

    Raises:
        BadWeights: a file is damaged, cut or missing, or asks for code; the message names it.
    """
    if not (folder / convertible.CONFIG).is_file():
        raise BadWeights(
            Reason.WEIGHTS_NOT_FOUND,
            f"The folder `{name or '/'}` has safetensors files and no {convertible.CONFIG}. Copy the whole folder "
            "of the model, or name the one that has it in `spec.source.path`.",
        )
    facts = inspect_folder.read(folder, artifact, name)
    tokenizer = folder / convertible.TOKENIZER_CONFIG
    said = inspect_folder.json_of(tokenizer) if tokenizer.is_file() else {}
    convertible.refuse(facts, said, {f.name for f in folder.iterdir() if f.is_file()})
    return facts


def sums(folder: Path) -> dict[str, str]:
    """SHA-256 of each file that is read, by name."""
    return {file.name: digest_of(file) for file in (*_small(folder), *inspect_folder.files(folder))}


def _small(folder: Path) -> list[Path]:
    found = [file for name in convertible.SMALL if (file := folder / name).is_file()]
    for file in found:
        if file.stat().st_size > convertible.MAX_SMALL:
            raise invalid(f"`{file.name}` is larger than {convertible.MAX_SMALL // 2**20} MiB.")
    return found


def lay_out(shown: Path, folder: Path, found: Mapping[str, str]) -> None:
    """Copies of what is small, so that it stays what was looked at, and links to the weights.

    Raises:
        BadWeights: a file was changed since its sum was taken.
    """
    shutil.rmtree(shown, ignore_errors=True)
    shown.mkdir()
    for file in _small(folder):
        copy = shown / file.name
        copy.write_bytes(file.read_bytes())
        if found and digest_of(copy) != found[file.name]:
            raise BadWeights(Reason.DIGEST_MISMATCH, f"`{file.name}` was changed while it was read.")
    indexed = (folder / convertible.INDEX).is_file()
    for name, under in convertible.shown((f.name for f in inspect_folder.files(folder)), indexed=indexed).items():
        (shown / under).symlink_to(folder / name)
