"""A folder of safetensors files from a hub into the claim: file by file, each checked, and in its place when all are.

Files come into `safetensors.part/`. What is whole there is noted with its SHA-256 beside it, so that the next pod goes
on with the file that is missing, and within the one that broke off.
"""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

from smallmodel_operator.api.conditions import Reason
from smallmodel_operator.cli import convertible_folder, hub, inspect_folder
from smallmodel_operator.cli.progress import Board, Together
from smallmodel_operator.cli.request import Show, Trouble, Wanted
from smallmodel_operator.cli.transfer import CHUNK, KEEP_FREE, MAX_BYTES, Edge, Transfer, patiently, sync
from smallmodel_operator.core.facts import WeightsFacts
from smallmodel_operator.core.units import human
from smallmodel_operator.weights import convertible, download, repository, safetensors
from smallmodel_operator.weights.refusal import invalid
from smallmodel_operator.weights.repository import Part
from smallmodel_operator.weights.result import Failure
from smallmodel_operator.weights.source import FOLDER

PARTIAL: Final = f"{FOLDER}.part"
SUMS: Final = f"{FOLDER}.sha256"
"""Beside the folder, as `sha256sum --check` reads it."""


@dataclass(frozen=True, slots=True)
class Folder:
    """What to fetch: a folder of a commit, into `home` of the claim.

    `digest`: of all its files, where it was found earlier. `convert`: a GGUF file is to be made of it.
    """

    where: hub.Repository
    home: Path
    show: Show
    ca_file: str = ""
    digest: str = ""
    convert: bool = False

    @property
    def whole(self) -> Path:
        return self.home / FOLDER

    @property
    def partial(self) -> Path:
        return self.home / PARTIAL

    def at(self, file: str) -> Wanted:
        """A file of the folder, by its name."""
        path = f"{self.where.file}/{file}" if self.where.file else file
        return Wanted(self.where.address(path), self.ca_file, self.show)


def fetch(wish: Folder, edge: Edge, board: Board) -> None:
    """All that is missing of it.

    Raises:
        Trouble: it cannot be fetched, or is not what its list says.
        BadWeights: it is no folder that can be served.
        OSError: the claim cannot be written.
    """
    wish.partial.mkdir(exist_ok=True)
    ask = Wanted(wish.where.endpoint, wish.ca_file, wish.show)
    entries = patiently(lambda: hub.list_files(wish.where, ask, edge.stall), edge, board)
    found = {part.name: part for part in repository.parts(entries, wish.where.file, None)}
    if wish.convert:
        repository.require_tokenizer(found, f"`{wish.where.file or wish.where.name}`")
    indexed = None
    if index := found.get(convertible.INDEX):
        _file(wish, index, edge, board)
        indexed = inspect_folder.indexed(wish.partial / index.name)
    parts = repository.parts(entries, wish.where.file, indexed)
    _room(wish, parts)
    together = Together(board, sum(part.size for part in parts), edge.clock)
    for number, part in enumerate(parts, 1):
        print(f"{part.name}, {human(part.size)} ({number} of {len(parts)})", flush=True)
        _file(wish, part, edge, together)
        together.there(part.size)
        if part.name == convertible.CONFIG:
            safetensors.refuse_code(inspect_folder.json_of(wish.partial / part.name))
    _put(wish, parts)


def facts(wish: Folder, artifact: str) -> WeightsFacts:
    """Of what is there, with the digest of all its files.

    Raises:
        BadWeights: it is damaged, cannot be served, or is not the one that was found earlier.
    """
    look = convertible_folder.look if wish.convert else inspect_folder.read
    return replace(look(wish.whole, artifact, FOLDER), sha256=_held(wish, _noted(wish)))


def _file(wish: Folder, part: Part, edge: Edge, board: Board) -> None:
    """One file, unless it is there."""
    target, known = wish.partial / part.name, _noted(wish)
    if _is_there(target, part, known.get(part.name, "")):
        return
    coming = wish.partial / f"{part.name}.part"
    wanted, wrong = wish.at(part.name), partial(_other, part.name)
    transfer = Transfer(wanted, part.sha256, coming, edge, board, size=part.size, wrong=wrong)
    transfer.run()
    if not part.sha256:
        size = coming.stat().st_size
        found = repository.blob(_pieces(coming), size)
        if found != part.blob:
            coming.unlink()
            raise Trouble(repository.other(wanted.host, part.name, found, part.blob))
    coming.chmod(0o644)
    coming.rename(target)
    _note(wish, {**known, part.name: transfer.sha256})


def _is_there(target: Path, part: Part, sha256: str) -> bool:
    """Whether an earlier pod left it whole: a large one is taken by its note, a small one is read again."""
    if not sha256 or not target.exists() or target.stat().st_size != part.size:
        return False
    return sha256 == part.sha256 if part.sha256 else repository.blob(_pieces(target), part.size) == part.blob


def _other(name: str, host: str, found: str, listed: str) -> Failure:
    return repository.other(host, name, found, listed)


def _pieces(file: Path) -> Iterator[bytes]:
    with file.open("rb") as stream:
        while piece := stream.read(CHUNK):
            yield piece


def _room(wish: Folder, parts: tuple[Part, ...]) -> None:
    """For all that is still to come, before the first byte of it."""
    total = sum(part.size for part in parts)
    if total > MAX_BYTES:
        raise invalid(f"The folder has {human(total)}, more than {human(MAX_BYTES)}; it is refused.")
    there = sum(min(part.size, _size(wish, part)) for part in parts)
    free = shutil.disk_usage(wish.home).free
    if total - there > free - KEEP_FREE:
        raise Trouble(download.no_room(total - there, free, KEEP_FREE))


def _size(wish: Folder, part: Part) -> int:
    """Bytes of it that an earlier pod left."""
    files = (wish.partial / part.name, wish.partial / f"{part.name}.part")
    return max((file.stat().st_size for file in files if file.exists()), default=0)


def _put(wish: Folder, parts: tuple[Part, ...]) -> None:
    """All of it, and nothing else, into its place."""
    names = {part.name for part in parts}
    for stray in wish.partial.iterdir():
        if stray.name not in names:
            stray.unlink()
    known = {name: sha256 for name, sha256 in _noted(wish).items() if name in names}
    _note(wish, known)
    _held(wish, known)
    wish.partial.rename(wish.whole)
    sync(wish.home)


def _held(wish: Folder, known: dict[str, str]) -> str:
    """The digest of all files, which is the one that was found earlier, where there is one.

    Raises:
        Trouble: it is another one.
    """
    digest = convertible.digest(known)
    if wish.digest and digest != wish.digest:
        host = Wanted(wish.where.endpoint).host
        raise Trouble(
            Failure(
                Reason.DIGEST_MISMATCH,
                f"{host} has a folder at commit {wish.where.revision[:12]} whose digest is {digest}; when it was "
                f"fetched first it was {wish.digest}. A commit cannot change: whoever runs the hub or its mirror has "
                "to mend it.",
            )
        )
    return digest


def _noted(wish: Folder) -> dict[str, str]:
    """SHA-256 by name of the files that are whole."""
    file = wish.home / SUMS
    lines = file.read_text().splitlines() if file.exists() else []
    return {name.removeprefix(f"{FOLDER}/"): sha256 for sha256, _, name in (line.partition("  ") for line in lines)}


def _note(wish: Folder, known: dict[str, str]) -> None:
    """In one piece or not at all; a file that is not noted is fetched again."""
    new = wish.home / f"{SUMS}.new"
    with new.open("w") as out:
        out.writelines(f"{known[name]}  {FOLDER}/{name}\n" for name in sorted(known))
        out.flush()
        os.fsync(out.fileno())
    new.rename(wish.home / SUMS)
