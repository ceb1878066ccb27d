"""`slm resolve-weights`: the Job that finds out what a source that may move holds now, and says it as a user would."""

import shutil
from dataclasses import replace
from pathlib import Path

from smallmodel_operator.api.conditions import Reason
from smallmodel_operator.cli import hub
from smallmodel_operator.cli.fetch_weights import REAL, Download, ask_hub, outcome, put, show_for
from smallmodel_operator.cli.inspect_weights import MESSAGE_FILE, read, write
from smallmodel_operator.cli.progress import Board, answering
from smallmodel_operator.cli.registry import Registry
from smallmodel_operator.cli.request import Wanted
from smallmodel_operator.cli.transfer import Edge, Transfer, patiently
from smallmodel_operator.cli.turn import alone
from smallmodel_operator.core.engine import GGUF
from smallmodel_operator.core.outcome import Refused
from smallmodel_operator.weights import image, result
from smallmodel_operator.weights.parse import parse
from smallmodel_operator.weights.source import DOWNLOADED, EITHER


def answer_and_resolve(wish: Download, uri: str, port: int) -> int:
    """Resolve, and say meanwhile how far it is to whoever asks at the port."""
    board = Board()
    with answering(board, port):
        return resolve(wish, uri, MESSAGE_FILE, board=board)


def resolve(
    wish: Download, uri: str, message_file: Path = MESSAGE_FILE, edge: Edge = REAL, board: Board | None = None
) -> int:
    """Say which file, or which folder, it is now; the exit code says whether trying again may help.

    A hub is asked for commit and SHA-256, or for the commit alone, which says all of a folder, a registry for a tag's
    manifest. Of any other file only its bytes tell: it is fetched, read as far as its header, and put where a download
    by that SHA-256 looks for it.
    """
    return write(outcome(lambda: _pinned(wish, uri, edge, board or Board())), message_file)


def _pinned(wish: Download, uri: str, edge: Edge, board: Board) -> result.Pinned | result.Failure:
    if isinstance(wish.where, hub.Repository):
        found = _of_hub(wish, wish.where, edge, board)
    elif isinstance(wish.where, image.Name):
        found = result.Pinned(_of_tag(wish, wish.where, uri, edge, board), "")
    else:
        found = result.Pinned(uri, _of_file(wish, wish.where, edge, board))
    try:
        parse(found.uri, "", found.sha256)
    except Refused as refused:  # a name in the hub that no URI of ours can have
        return result.Failure(Reason.DOWNLOAD_FAILED, f"What was found cannot be named: {refused.message}")
    return found


def _of_hub(wish: Download, repository: hub.Repository, edge: Edge, board: Board) -> result.Pinned:
    show = show_for(wish)
    ask = Wanted(repository.endpoint, wish.ca_file, show)
    commit = patiently(lambda: hub.commit(repository, ask, edge.stall), edge, board)
    print(f"{repository.revision} is commit {commit} now", flush=True)
    pinned = replace(repository, revision=commit)
    one: hub.Repository | None = pinned if wish.layout == GGUF else None
    if wish.layout == EITHER:
        one = patiently(lambda: hub.one_file(pinned, ask, edge.stall), edge, board)
    if one is None:
        return result.Pinned(f"hf://{repository.name}@{commit}{f'/{pinned.file}' if pinned.file else ''}", "")
    at_commit = replace(wish, where=one)
    found = patiently(lambda: ask_hub(at_commit, show, edge.stall), edge, board)
    return result.Pinned(f"hf://{repository.name}@{commit}/{found.file}", found.sha256)


def _of_tag(wish: Download, name: image.Name, uri: str, edge: Edge, board: Board) -> str:
    """The same name with the digest of what the registry sends, whatever it says of it."""
    registry = Registry(name, wish.ca_file, Path(wish.credentials), edge.stall, edge.clock)
    digest, data = patiently(lambda: registry.manifest(name.reference), edge, board)
    image.manifest(data)
    print(f"{name.reference} is {digest} now", flush=True)
    return f"{uri.removesuffix(f':{name.reference}')}@{digest}"


def _of_file(wish: Download, url: str, edge: Edge, board: Board) -> str:
    """SHA-256 of the file, which then lies in the folder of that name."""
    with alone(wish.target.parent) as turn:
        part = wish.target.with_suffix(".part")
        transfer = Transfer(Wanted(url, wish.ca_file, show_for(wish)), "", part, edge, board)
        transfer.run()
        # An error page that came with 200 must not be what is frozen.
        read(part, wish.artifact, DOWNLOADED)
        with alone(turn.folder.with_name(f"sha256-{transfer.sha256}")) as home:
            if not (home.folder / DOWNLOADED).exists():
                put(part, home.folder / DOWNLOADED, transfer.sha256)
        shutil.rmtree(turn.folder)
    print(f"the file's SHA-256 is {transfer.sha256} now", flush=True)
    return transfer.sha256
