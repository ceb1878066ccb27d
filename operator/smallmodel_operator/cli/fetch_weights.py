"""`slm fetch-weights`: the download Job. One HTTPS file, or a hub's folder, into the claim, checked, then described."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from smallmodel_operator.api.conditions import Reason
from smallmodel_operator.cli import fetch_folder, hub, login
from smallmodel_operator.cli.inspect_weights import MESSAGE_FILE, read, write
from smallmodel_operator.cli.progress import Board, answering
from smallmodel_operator.cli.request import Show, Trouble, Wanted, nothing
from smallmodel_operator.cli.transfer import Edge, Transfer, disk_failure, patiently, sync
from smallmodel_operator.cli.turn import in_turn
from smallmodel_operator.core.engine import GGUF
from smallmodel_operator.core.facts import WeightsFacts
from smallmodel_operator.weights import gguf, image, result
from smallmodel_operator.weights.download import mismatch
from smallmodel_operator.weights.jobs import CREDENTIALS_PATH
from smallmodel_operator.weights.source import DOWNLOADED, EITHER

T = TypeVar("T")
REAL: Final = Edge()


@dataclass(frozen=True, slots=True)
class Download:
    """One file to fetch. `where`: its address, or a hub's repository. `sha256` is empty where the hub is to tell it.
    Of an image's name only its digest is asked.

    `claim` is the uid of the claim the folder lies in; `ca_file` names further authorities; `secret` is the Secret that
    is mounted at `credentials`; `s3_region` is set where the address is of an S3 store.
    """

    where: str | hub.Repository | image.Name
    sha256: str
    folder: str
    artifact: str
    claim: str = ""
    ca_file: str = ""
    secret: str = ""
    credentials: str = CREDENTIALS_PATH
    s3_region: str = ""
    frozen: bool = False
    """The SHA-256 is one that was found, not one that the user wrote."""
    layout: str = GGUF
    """GGUF: one file; Safetensors: a hub's folder; Either: the one, and where there is none the other."""

    @property
    def target(self) -> Path:
        return Path(self.folder) / DOWNLOADED


def answer_and_fetch(wish: Download, port: int) -> int:
    """Download, and say meanwhile how far it is to whoever asks at the port."""
    board = Board()
    with answering(board, port):
        return fetch(wish, MESSAGE_FILE, board=board)


def fetch(wish: Download, message_file: Path = MESSAGE_FILE, edge: Edge = REAL, board: Board | None = None) -> int:
    """Download unless it is there, check, describe; the exit code says whether trying again may help."""

    def work() -> WeightsFacts:
        facts = in_turn(wish.target.parent, edge, lambda edge: _brought(wish, edge, board or Board()))
        return replace(facts, claim=wish.claim)

    return write(outcome(work), message_file)


def outcome(work: Callable[[], T]) -> T | result.Failure:
    """What a Job that fetches found, or why it found nothing."""
    try:
        return work()
    except gguf.BadWeights as bad:
        return result.Failure(bad.reason, bad.message)
    except Trouble as trouble:
        return trouble.failure
    except OSError as error:
        return disk_failure(error, Reason.DOWNLOAD_FAILED, "written")


def _brought(wish: Download, edge: Edge, board: Board) -> WeightsFacts:
    """What is there, fetched if it was not. Where either will do, the folder that is there already is taken."""
    folder = folder_of(wish)
    if folder is None or (wish.layout == EITHER and wish.target.exists()):
        return _file(wish, edge, board)
    if not folder.whole.is_dir():
        if wish.layout == EITHER and (one := _one_file(folder, edge, board)):
            return _file(replace(wish, where=one), edge, board)
        fetch_folder.fetch(folder, edge, board)
    return fetch_folder.facts(folder, wish.artifact)


def _file(wish: Download, edge: Edge, board: Board) -> WeightsFacts:
    if not wish.target.exists():
        _download(wish, edge, board)
    return replace(read(wish.target, wish.artifact, DOWNLOADED), sha256=wish.sha256 or _summed(wish.target))


def _one_file(folder: fetch_folder.Folder, edge: Edge, board: Board) -> hub.Repository | None:
    ask = Wanted(folder.where.endpoint, folder.ca_file, folder.show)
    return patiently(lambda: hub.one_file(folder.where, ask, edge.stall), edge, board)


def folder_of(wish: Download) -> fetch_folder.Folder | None:
    """The folder that may be meant; None where it can only be one file."""
    if wish.layout == GGUF or not isinstance(wish.where, hub.Repository):
        return None
    home, convert = wish.target.parent, wish.layout == EITHER
    # The Secret is looked at when there is something to ask.
    return fetch_folder.Folder(wish.where, home, lambda url: show_for(wish)(url), wish.ca_file, wish.sha256, convert)


def _download(wish: Download, edge: Edge, board: Board) -> None:
    """Into a temporary file beside the target, and into its place when it is whole and right."""
    part = wish.target.with_suffix(".part")
    show = show_for(wish)
    found = patiently(lambda: ask_hub(wish, show, edge.stall), edge, board)
    wrong = partial(mismatch, frozen=wish.frozen)
    transfer = Transfer(Wanted(found.url, wish.ca_file, show), found.sha256, part, edge, board, wrong=wrong)
    try:
        transfer.run()
    except Trouble as trouble:
        # From None: an exception that is its own cause would keep its connection open until the next collection.
        raise (hub.named(wish.where, trouble) if isinstance(wish.where, hub.Repository) else trouble) from None
    put(part, wish.target, found.sha256)


def put(part: Path, target: Path, sha256: str) -> None:
    """A file that is whole and right, into its place."""
    _sums(target).write_text(f"{sha256}  {DOWNLOADED}\n")
    part.chmod(0o644)
    part.rename(target)
    sync(target.parent)


def show_for(wish: Download) -> Show:
    """What the source is shown; nothing without a Secret.

    Raises:
        Trouble: the Secret does not exist or holds nothing usable.
    """
    if not wish.secret:
        return nothing
    folder = Path(wish.credentials)
    return login.signed(folder, wish.secret, wish.s3_region) if wish.s3_region else login.headers(folder, wish.secret)


def ask_hub(wish: Download, show: Show, timeout: float) -> hub.Found:
    """Address and SHA-256 of the file, where they are not known already.

    Raises:
        Trouble: see `hub.find`.
    """
    if not isinstance(wish.where, hub.Repository):
        return hub.Found(str(wish.where), wish.sha256)
    return hub.find(wish.where, wish.sha256, Wanted(wish.where.endpoint, wish.ca_file, show), timeout)


def _sums(target: Path) -> Path:
    """Beside the file, as `sha256sum --check` reads it."""
    return target.with_name(f"{target.name}.sha256")


def _summed(target: Path) -> str:
    """What the file was checked against when it came."""
    return _sums(target).read_text().partition(" ")[0]
