"""A model hub's HTTP API, the part a download needs: which file is meant, and what its SHA-256 is."""

import json
import re
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import quote, urlsplit

from smallmodel_operator.api.conditions import Reason
from smallmodel_operator.cli import request
from smallmodel_operator.cli.request import Trouble, Wanted
from smallmodel_operator.weights.download import mismatch
from smallmodel_operator.weights.repository import below, is_folder
from smallmodel_operator.weights.result import Failure

PAGES: Final = 20
"""A thousand entries each; a repository of weights has some dozens."""
PAGE_BYTES: Final = 4 * 2**20
_NEXT: Final = re.compile(r'<([^<>]{1,2000})>;\s*rel="next"')
_COMMIT: Final = re.compile(r"[0-9a-f]{40}")
_SHA256: Final = re.compile(r"^[0-9a-f]{64}$")


@dataclass(frozen=True, slots=True)
class Repository:
    """One commit of a repository, and the file in it; an empty one is the only `*.gguf`.

    Where a folder is meant, `file` names it; an empty one is the repository.
    """

    endpoint: str
    name: str
    revision: str
    file: str = ""

    def address(self, file: str) -> str:
        return f"{self.endpoint}/{self.name}/resolve/{self.revision}/{quote(file)}"


@dataclass(frozen=True, slots=True)
class Found:
    """The one file: where it is, and what it must be."""

    url: str
    sha256: str
    file: str = ""


def find(repository: Repository, sha256: str, ask: Wanted, timeout: float) -> Found:
    """Ask the hub, unless file and SHA-256 are known: then any server that has the files at their addresses will do.

    Args:
        repository: where to look.
        sha256: given by the user or found earlier; empty: what the hub says is taken.
        ask: whom to trust and what to show; its address is not used.
        timeout: seconds without an answer.

    Raises:
        Trouble: there is no such file, several, or the hub does not answer.
    """
    if repository.file and sha256:
        return Found(repository.address(repository.file), sha256, repository.file)
    entries = list_files(repository, ask, timeout)
    file = repository.file or _only(repository, entries)
    if file not in entries:
        raise _failed(
            Reason.WEIGHTS_NOT_FOUND,
            f"{repository.name} has no file {file!r} at commit {repository.revision[:12]}{_others(entries)}. "
            "Correct `spec.source.uri`.",
        )
    told = str((entries[file].get("lfs") or {}).get("oid", ""))
    if not sha256 and not _SHA256.match(told):
        raise _failed(
            Reason.DOWNLOAD_FAILED,
            f"The hub tells no SHA-256 of {file!r} in {repository.name}: it is not stored as a large file there. Give "
            "it in `spec.source.sha256`.",
        )
    if sha256 and told and told != sha256:
        raise Trouble(mismatch(urlsplit(repository.endpoint).netloc, told, sha256))
    return Found(repository.address(file), sha256 or told, file)


def commit(repository: Repository, ask: Wanted, timeout: float) -> str:
    """The commit that a branch or tag names now. `ask` as for `find`.

    Raises:
        Trouble: there is none of this name, or the hub does not answer.
    """
    url = f"{repository.endpoint}/api/models/{repository.name}/revision/{quote(repository.revision, safe='')}"
    said, _ = _page(repository, Wanted(url, ask.ca_file, ask.show), timeout)
    found = said.get("sha") if isinstance(said, dict) else None
    if isinstance(found, str) and _COMMIT.fullmatch(found):
        return found
    raise _strange(Wanted(url).host)


def one_file(repository: Repository, ask: Wanted, timeout: float) -> Repository | None:
    """Where `file` names a folder: the repository with the one GGUF file in it, None where safetensors are meant.

    Raises:
        Trouble: it holds neither, or several GGUF files, or the hub does not answer.
    """
    entries, folder = list_files(repository, ask, timeout), repository.file
    if is_folder(entries, folder):
        return None
    return replace(repository, file=_only(repository, {path: entries[path] for path in below(entries, folder)}))


def list_files(repository: Repository, ask: Wanted, timeout: float) -> dict[str, dict[str, Any]]:
    """Files of the commit by path, as the hub tells them.

    Raises:
        Trouble: it does not, or tells of a file twice.
    """
    url = f"{repository.endpoint}/api/models/{repository.name}/tree/{repository.revision}?recursive=true"
    found: dict[str, dict[str, Any]] = {}
    for _ in range(PAGES):
        wanted = Wanted(url, ask.ca_file, ask.show)
        said, url = _page(repository, wanted, timeout)
        if not (isinstance(said, list) and all(isinstance(e, dict) and isinstance(e.get("path"), str) for e in said)):
            raise _strange(wanted.host)
        files = [entry for entry in said if entry.get("type") == "file"]
        before = len(found)
        found |= {str(entry["path"]): entry for entry in files}
        if len(found) < before + len(files):
            raise _failed(Reason.DOWNLOAD_FAILED, f"{wanted.host} lists a file of {repository.name} twice.")
        if not url:
            return found
        if _server(url) != _server(repository.endpoint):
            break
    raise _failed(Reason.DOWNLOAD_FAILED, f"{repository.name} is too large to list. Name the file and its SHA-256.")


def named(repository: Repository, trouble: Trouble) -> Trouble:
    """The same, with what was asked for where the hub does not give it: its own words are the same for all."""
    if trouble.status not in (401, 403, 404, 410):
        return trouble
    failure, file = trouble.failure, f"/{repository.file}" if repository.file else ""
    message = f"{failure.message} Asked for: `{repository.name}{file[-160:]}` at `{repository.revision[:64]}`."
    if "credentialsSecretRef" not in message:
        message += " Where it is private, name a Secret with `token` in `spec.source.credentialsSecretRef`."
    return Trouble(replace(failure, message=message), trouble.status, trouble.challenge)


def _page(repository: Repository, wanted: Wanted, timeout: float) -> tuple[Any, str]:
    """What the hub answers in JSON, and the address of what follows."""
    data = b""
    try:
        answered = request.open_url(wanted, {}, timeout)
    except Trouble as trouble:
        raise named(repository, trouble) from None
    with answered as answer:
        while len(data) <= PAGE_BYTES and (piece := request.read(wanted.host, answer, PAGE_BYTES)):
            data += piece
        following = _NEXT.search(answer.headers.get("Link") or "")
    try:
        return json.loads(data), following[1] if following else ""
    except (ValueError, RecursionError):
        raise _strange(wanted.host) from None


def _strange(host: str) -> Trouble:
    return _failed(Reason.SOURCE_FAILING, f"{host} does not answer like a model hub.", passing=True)


def _only(repository: Repository, entries: dict[str, dict[str, Any]]) -> str:
    files = sorted(path for path in entries if path.endswith(".gguf"))
    if len(files) == 1:
        return files[0]
    if not files:
        text = f"{repository.name} has no *.gguf file at commit {repository.revision[:12]}{_others(entries)}."
        way = "Name another repository."
        if any(path.endswith(".safetensors") for path in entries):
            way = (
                "To have one made of its safetensors, set `spec.quantization` (method GGUF, `accept: [Q8_0, Q4_K_M]`) "
                "with an image of the quantizer, and leave `spec.source.sha256` out."
            )
        raise _failed(Reason.WEIGHTS_NOT_FOUND, f"{text} {way}")
    names = ", ".join(files[:8])
    raise _failed(
        Reason.WEIGHTS_AMBIGUOUS,
        f"{repository.name} has {len(files)} GGUF files ({names}{', …' if len(files) > 8 else ''}). Name one in "
        "`spec.source.uri` (hf://ORGANISATION/REPOSITORY@COMMIT/FILE) or `spec.source.path`.",
    )


def _others(entries: dict[str, dict[str, Any]]) -> str:
    return f" (it has: {', '.join(sorted(entries)[:8])})" if entries else " (it is empty)"


def _server(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc


def _failed(reason: Reason, message: str, *, passing: bool = False) -> Trouble:
    return Trouble(Failure(reason, message, passing=passing))
