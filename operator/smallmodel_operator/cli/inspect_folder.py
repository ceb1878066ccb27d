"""A folder of safetensors files in the inspection Job: what the engines VLLM and TGI serve."""

import json
from pathlib import Path
from typing import Any, Final

from smallmodel_operator.api.conditions import Reason
from smallmodel_operator.core.facts import WeightsFacts
from smallmodel_operator.weights import foreign, safetensors
from smallmodel_operator.weights.gguf import PEEK
from smallmodel_operator.weights.refusal import BadWeights, invalid

CONFIG: Final = "config.json"
INDEX: Final = "model.safetensors.index.json"
TEMPLATES: Final = ("chat_template.jinja", "chat_template.json", "tokenizer_config.json")
MAX_JSON: Final = 16 * 2**20
"""Bytes of a JSON file that are read: an index names every tensor, a tokenizer's configuration every special token."""


def find(root: Path, path: str) -> Path:
    """The folder meant by `spec.source.path`, or the volume itself.

    Raises:
        BadWeights: it is no such folder, or holds pickles only.
    """
    folder = root / path if path else root
    if not folder.is_dir():
        raise BadWeights(
            Reason.WEIGHTS_NOT_FOUND,
            f"There is no folder {path!r} in the source. Name the one with {CONFIG} in `spec.source.path`.",
        )
    if not list(folder.glob("*.safetensors")):
        _pickles(folder)
        raise BadWeights(
            Reason.WEIGHTS_NOT_FOUND,
            f"There is no *.safetensors file in the folder {path or '/'!r} of the source. VLLM and TGI serve a folder "
            "of them: name it in `spec.source.path`. For a GGUF file take the engine LlamaCpp.",
        )
    if not (folder / CONFIG).is_file():
        adapter = (folder / "adapter_config.json").is_file()
        what = "holds a LoRA adapter, not a model" if adapter else f"has no {CONFIG}"
        raise BadWeights(
            Reason.WEIGHTS_NOT_FOUND, f"The folder {path or '/'!r} {what}. Copy the whole folder of the model."
        )
    return folder


def read(folder: Path, artifact: str, name: str) -> WeightsFacts:
    """Facts of the folder; every message names the file.

    Raises:
        BadWeights: a file is damaged, cut or missing, or the model cannot be served.
    """
    shards = [_shard(file) for file in files(folder)]
    return safetensors.facts(json_of(folder / CONFIG), shards, _templates(folder), artifact, name)


def files(folder: Path) -> list[Path]:
    """Those the index names, all of them; without an index those there are.

    Raises:
        BadWeights: one that is named is missing, or the index is damaged.
    """
    index = folder / INDEX
    if not index.is_file():
        return sorted(folder.glob("*.safetensors"))
    names = indexed(index)
    missing = [n for n in names if not (folder / n).is_file()]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise invalid(f"`{missing[0][-120:]}`{more}, named by `{INDEX}`, is missing. {safetensors.AGAIN}")
    return [folder / n for n in names]


def indexed(index: Path) -> list[str]:
    """Names of the files that the index names.

    Raises:
        BadWeights: it is damaged.
    """
    named = json_of(index).get("weight_map")
    values = list(named.values()) if isinstance(named, dict) else []
    good = all(isinstance(n, str) and "/" not in n and n.endswith(".safetensors") for n in values)
    if not values or not good:
        raise invalid(f"`{INDEX}` is damaged: it names no safetensors files of its folder. {safetensors.AGAIN}")
    return sorted(set(values))


def _shard(file: Path) -> safetensors.Shard:
    size = file.stat().st_size
    try:
        with file.open("rb") as stream:
            length = safetensors.header_length(stream.read(safetensors.LENGTH_BYTES))
            return safetensors.shard(stream.read(length), size)
    except BadWeights as bad:
        raise BadWeights(bad.reason, f"`{file.name[-120:]}`: {bad.message}") from None


def json_of(file: Path) -> dict[str, Any]:
    """A JSON object in a file.

    Raises:
        BadWeights: it is none, or too large.
    """
    if file.stat().st_size > MAX_JSON:
        raise invalid(f"`{file.name}` is larger than {MAX_JSON // 2**20} MiB.")
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise invalid(f"`{file.name}` is no JSON object. {safetensors.AGAIN}")
    return found


def _templates(folder: Path) -> dict[str, str]:
    """Chat templates as engines look for them: a file of its own, or an entry of the tokenizer's configuration."""
    found: dict[str, str] = {}
    for file in (folder / name for name in TEMPLATES):
        if not file.is_file():
            continue
        if file.suffix == ".jinja":
            if file.stat().st_size > MAX_JSON:
                raise invalid(f"`{file.name}` is larger than {MAX_JSON // 2**20} MiB.")
            found[file.name] = file.read_text(encoding="utf-8", errors="replace")
            continue
        entry = json_of(file).get("chat_template")
        several = entry if isinstance(entry, list) else [{"name": "", "template": entry}]
        for one in several:
            text = one.get("template") if isinstance(one, dict) else None
            if isinstance(text, str):
                key = one.get("name") or ""
                found[f"{file.name}:{key}" if key else file.name] = text
    return found


def _pickles(folder: Path) -> None:
    """Refused for what it holds, not for what it lacks."""
    for file in sorted(p for p in folder.iterdir() if p.suffix.lower() in foreign.UNSAFE_SUFFIXES and p.is_file()):
        with file.open("rb") as stream:
            bad = foreign.refusal(stream.read(PEEK), file.stat().st_size, file.name)
        if bad.reason is Reason.UNSAFE_FORMAT:
            raise BadWeights(bad.reason, f"`{file.name[-120:]}`: {bad.message}")
