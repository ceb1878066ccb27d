"""The list of a hub's repository: which of its files are a model in safetensors, and can it be right? Pure.

What is not among them is never fetched: pickles, Python code, other formats, the same weights a second time.
"""

import hashlib
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from smallmodel_operator.api.conditions import Reason
from smallmodel_operator.weights import foreign
from smallmodel_operator.weights.convertible import CONFIG, INDEX, MAX_SMALL, SMALL, TOKENIZERS
from smallmodel_operator.weights.refusal import BadWeights, invalid
from smallmodel_operator.weights.result import Failure

WANTED: Final = tuple(name for name in SMALL if name != "README.md")
"""Files besides the weights that a converter or an engine reads."""
MAX_SHARDS: Final = 512
MAX_NAME: Final = 200
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_SHA1: Final = re.compile(r"[0-9a-f]{40}")
_SHARD: Final = re.compile(r"[A-Za-z0-9_][\w.+ -]*\.safetensors", re.ASCII)

Listed = Mapping[str, Mapping[str, Any]]
"""Path -> entry, as the hub's API tells it."""


@dataclass(frozen=True, slots=True)
class Part:
    """One file of the folder: its name there, its bytes, and what it must be.

    `sha256` of a file that is kept as a large one; of any other the SHA-1 of its Git `blob`.
    """

    name: str
    size: int
    sha256: str = ""
    blob: str = ""


def below(entries: Listed, folder: str) -> list[str]:
    """Paths of the files in the folder and in those below it; an empty one is the repository."""
    return sorted(path for path in entries if not folder or path.startswith(f"{folder}/"))


def is_folder(entries: Listed, folder: str) -> bool:
    """Whether it holds safetensors files and no GGUF file, there or below."""
    return bool(_shards(entries, folder)) and not any(path.endswith(".gguf") for path in below(entries, folder))


def parts(entries: Listed, folder: str, index: Collection[str] | None) -> tuple[Part, ...]:
    """The files to fetch, what is small first.

    Args:
        entries: of the commit.
        folder: in the repository.
        index: names of the weights' files, as the index says; None while it is unread (then without them), or where
            there is none.

    Raises:
        BadWeights: one is missing, there is nothing to serve, or the list cannot be right.
    """
    here = _here(entries, folder)
    shown = f"`{folder}` of the repository" if folder else "the repository"
    shards = _shards(entries, folder)
    if not shards:
        raise _without_safetensors(here, shown)
    if CONFIG not in here:
        adapter = "adapter_config.json" in here
        what = "holds a LoRA adapter, not a model" if adapter else f"has safetensors files and no {CONFIG}"
        raise BadWeights(Reason.WEIGHTS_NOT_FOUND, f"{shown[0].upper()}{shown[1:]} {what}. Name another one.")
    if index is None and INDEX in here:
        shards = []
    elif index is not None:
        missing = sorted(set(index) - set(here))
        if missing:
            more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            raise invalid(
                f"`{missing[0][-120:]}`{more}, named by `{INDEX}`, is not in {shown}. Take a commit that has all files."
            )
        shards = sorted(set(index))
    if len(shards) > MAX_SHARDS:
        raise invalid(f"There are {len(shards)} safetensors files in {shown}; {MAX_SHARDS} are fetched at most.")
    small = [name for name in WANTED if name in here]
    return tuple(part(name, here[name], small=name in WANTED) for name in (*small, *shards))


def part(name: str, entry: Mapping[str, Any], *, small: bool) -> Part:
    """One file, as the list tells it.

    Raises:
        BadWeights: no file can be so.
    """
    lfs, size = entry.get("lfs"), entry.get("size")
    if not small and (not _SHARD.fullmatch(name) or len(name) > MAX_NAME):
        raise invalid(f"The name {name[:80]!r} is none that publishers give: it is not fetched. {_ELSE}")
    if type(size) is not int or size < 0:
        raise _lies(name, "no length")
    if small and size > MAX_SMALL:
        raise invalid(f"`{name}` is larger than {MAX_SMALL // 2**20} MiB. {_ELSE}")
    if lfs:
        oid = lfs.get("oid") if isinstance(lfs, Mapping) else None
        if not isinstance(oid, str) or not _SHA256.fullmatch(oid):
            raise _lies(name, "no SHA-256, though it is kept as a large file")
        if lfs.get("size") != size:
            raise _lies(name, "two lengths")
        return Part(name, size, sha256=oid)
    oid = entry.get("oid")
    if not isinstance(oid, str) or not _SHA1.fullmatch(oid):
        raise _lies(name, "no SHA-1 of a Git blob")
    return Part(name, size, blob=oid)


def require_tokenizer(names: Collection[str], where: str) -> None:
    """Look before gigabytes are fetched: without a tokenizer no GGUF file can be made.

    Raises:
        BadWeights: there is none.
    """
    if not any(set(names) >= set(one) for one in TOKENIZERS):
        raise BadWeights(
            Reason.WEIGHTS_NOT_FOUND,
            f"{where} has no tokenizer (`tokenizer.json` or `tokenizer.model`), without which no GGUF file can be "
            "made. Name another one.",
        )


def blob(data: Iterable[bytes], size: int) -> str:
    """SHA-1 of a Git blob: the name Git gives to this content."""
    state = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
    for piece in data:
        state.update(piece)
    return state.hexdigest()


def other(host: str, name: str, found: str, listed: str) -> Failure:
    """A file came whole, and it is not the one in the hub's list."""
    return Failure(
        Reason.DIGEST_MISMATCH,
        f"{host} sends a file `{name[-120:]}` whose sum is {found}; its own list of the commit says {listed}. It was "
        "thrown away. Whoever runs the hub or its mirror has to mend it.",
    )


_ELSE: Final = "Name another repository."


def _here(entries: Listed, folder: str) -> dict[str, Mapping[str, Any]]:
    """Files of the folder itself, by name."""
    begin = f"{folder}/" if folder else ""
    names = {path: path.removeprefix(begin) for path in below(entries, folder)}
    return {name: entries[path] for path, name in names.items() if "/" not in name}


def _shards(entries: Listed, folder: str) -> list[str]:
    return sorted(name for name in _here(entries, folder) if name.endswith(".safetensors"))


def _without_safetensors(here: Collection[str], shown: str) -> BadWeights:
    """Refused for what it holds, not for what it lacks."""
    pickles = sorted(name for name in here if name.lower().endswith(foreign.UNSAFE_SUFFIXES))
    if pickles:
        return BadWeights(
            Reason.UNSAFE_FORMAT,
            f"`{pickles[0][-120:]}` in {shown} is in a format of pickles by its name, which can run any code when it "
            f"is loaded; it is not fetched, and {shown} has no *.safetensors file. Take a repository with "
            "safetensors or GGUF files.",
        )
    there = f" (it has: {', '.join(sorted(here)[:8])})" if here else " (it is empty)"
    return BadWeights(
        Reason.WEIGHTS_NOT_FOUND,
        f"There is no *.safetensors file in {shown}{there}. Name the folder that has them in `spec.source.path`.",
    )


def _lies(name: str, what: str) -> BadWeights:
    return BadWeights(
        Reason.DOWNLOAD_FAILED, f"The hub's list cannot be right: it tells of `{name[-120:]}` {what}. Nothing is taken."
    )
