"""`slm copy-weights`: the download Job of an image where nodes cannot mount one. Its weights' files into the claim."""

import json
import platform
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

from smallmodel_operator.api.conditions import Reason
from smallmodel_operator.cli.fetch_weights import REAL, outcome
from smallmodel_operator.cli.inspect_weights import MESSAGE_FILE, write
from smallmodel_operator.cli.progress import Board, Together, answering
from smallmodel_operator.cli.registry import Registry
from smallmodel_operator.cli.request import Trouble
from smallmodel_operator.cli.transfer import KEEP_FREE, Edge, Transfer, patiently
from smallmodel_operator.cli.turn import in_turn
from smallmodel_operator.cli.unpack import Unpacking
from smallmodel_operator.weights import download, foreign, image, result
from smallmodel_operator.weights.image import Layer
from smallmodel_operator.weights.jobs import CREDENTIALS_PATH
from smallmodel_operator.weights.refusal import BadWeights
from smallmodel_operator.weights.source import IMAGE_FILES

NOTE: Final = "copied.json"
BLOBS: Final = "blobs"


@dataclass(frozen=True, slots=True)
class Copy:
    """An image by its digest, and the folder of the claim that its files go to.

    `ca_file` names further authorities; `credentials` is where pull secrets are mounted; `machine` is the node's own
    word for its architecture.
    """

    reference: str
    folder: Path
    ca_file: str = ""
    credentials: Path = Path(CREDENTIALS_PATH)
    machine: str = field(default_factory=platform.machine)

    @property
    def files(self) -> Path:
        return self.folder / IMAGE_FILES


@dataclass(slots=True)
class Note:
    """What an earlier pod left: how many layers are unpacked, whether these are all, and a pickle it left out."""

    layers: int = 0
    whole: bool = False
    pickle: str = ""


def answer_and_copy(wish: Copy, port: int, look: Callable[[], int]) -> int:
    """Copy, and say meanwhile how far it is to whoever asks at the port; then `look` at what came."""
    board = Board()
    with answering(board, port):
        return copy(wish, look, MESSAGE_FILE, board=board)


def copy(
    wish: Copy,
    look: Callable[[], int],
    message_file: Path = MESSAGE_FILE,
    edge: Edge = REAL,
    board: Board | None = None,
) -> int:
    """Copy unless it is there, and look; the exit code says whether trying again may help."""

    def work(edge: Edge) -> int:
        note = _read(wish)
        if not note.whole:
            _copy(wish, note, edge, board or Board())
        return look()

    said = outcome(lambda: in_turn(wish.folder, edge, work))
    return write(said, message_file) if isinstance(said, result.Failure) else said


def _copy(wish: Copy, note: Note, edge: Edge, board: Board) -> None:
    """One layer after the other: fetched, checked against its digest, unpacked, removed."""
    name = image.name(wish.reference)
    registry = Registry(name, wish.ca_file, wish.credentials, edge.stall, edge.clock)
    layers = patiently(lambda: _layers(registry, name.reference, wish.machine), edge, board)
    blobs = wish.folder / BLOBS
    for folder in (wish.files, blobs):
        folder.mkdir(exist_ok=True)
    _room(layers[note.layers :], blobs)
    unpacking, total = Unpacking(wish.files, note.pickle), sum(layer.size for layer in layers)
    whole = Together(board, total, edge.clock)
    whole.there(sum(layer.size for layer in layers[: note.layers]))
    for number, layer in enumerate(layers[note.layers :], note.layers):
        blob = _fetch(registry, layer, blobs, edge, whole)
        whole.there(layer.size)
        if layer.file:
            unpacking.place(blob, layer.file)
        else:
            print(f"unpacking layer {number + 1} of {len(layers)}", flush=True)
            unpacking.unpack(blob)
        note.layers, note.pickle = number + 1, unpacking.pickle
        _write(wish, note)
        blob.unlink(missing_ok=True)
    shutil.rmtree(blobs)
    _nothing_but_pickles(wish.files, note.pickle)
    note.whole = True
    _write(wish, note)


def _layers(registry: Registry, reference: str, machine: str) -> tuple[Layer, ...]:
    _, data = registry.manifest(reference)
    found = image.manifest(data)
    if "manifests" in found:
        chosen = image.choose(found, machine)
        print(f"of the index, {chosen} is for this node", flush=True)
        _, data = registry.manifest(chosen)
        found = image.manifest(data)
    if "layers" not in found:
        raise BadWeights(Reason.WEIGHTS_INVALID, "The image's index names another index. Name a manifest's digest.")
    return image.layers(found)


def _fetch(registry: Registry, layer: Layer, blobs: Path, edge: Edge, board: Board) -> Path:
    sha256 = layer.digest.removeprefix("sha256:")
    part, whole = blobs / f"{sha256}.part", blobs / sha256
    if whole.exists():
        return whole  # checked by an earlier pod, which could not unpack it
    try:
        registry.ask(lambda: Transfer(registry.blob(layer.digest), sha256, part, edge, board).run())
    except Trouble as trouble:
        if trouble.failure.reason is Reason.DIGEST_MISMATCH:
            raise Trouble(image.lies(registry.host, layer.digest, "another layer")) from trouble
        raise
    return part.rename(whole)


def _room(missing: tuple[Layer, ...], blobs: Path) -> None:
    """Before the first byte: is there room for all that is still to come?"""
    there = sum(file.stat().st_size for file in blobs.iterdir())
    needed, free = image.needed(missing) - there, shutil.disk_usage(blobs).free
    if needed > free - KEEP_FREE:
        raise Trouble(download.no_room(needed, free, KEEP_FREE))


def _nothing_but_pickles(files: Path, pickle: str) -> None:
    """Refused for what it holds, not for what it lacks."""
    if pickle and not any(file.suffix.lower() in image.MODELS for file in files.rglob("*")):
        raise BadWeights(
            Reason.UNSAFE_FORMAT,
            f"The image holds neither GGUF nor safetensors, but `{pickle[-120:]}`, by its name a pickle. Such a file "
            f"can run any code when it is loaded, and never is. {foreign.PREFERRED}",
        )


def _read(wish: Copy) -> Note:
    with suppress(OSError, ValueError, TypeError):
        return Note(**json.loads((wish.folder / NOTE).read_text()))
    shutil.rmtree(wish.files, ignore_errors=True)
    return Note()


def _write(wish: Copy, note: Note) -> None:
    fresh = wish.folder / f"{NOTE}.new"
    fresh.write_text(json.dumps(asdict(note)))
    fresh.replace(wish.folder / NOTE)
