"""`slm push`: a GGUF file, or a folder of safetensors, as an image in a registry, for `oci://` to name by its digest.

One layer, a plain archive, and nothing of time or machine in it: the same files are the same digest everywhere.
"""

import hashlib
import http.client
import json
import os
import ssl
import tarfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final
from urllib.parse import urljoin, urlsplit

import yaml
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from smallmodel_operator.cli import request
from smallmodel_operator.cli.console import failed, stderr
from smallmodel_operator.cli.registry import Registry
from smallmodel_operator.cli.request import Trouble
from smallmodel_operator.weights import gguf, image
from smallmodel_operator.weights.image import Name
from smallmodel_operator.weights.refusal import BadWeights

CHUNK: Final = 2**20
TIMEOUT: Final = 60.0
"""Seconds in which a registry has to say something."""
MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
CONFIG: Final = "application/vnd.oci.image.config.v1+json"
LAYER: Final = "application/vnd.oci.image.layer.v1.tar"


class NotPushed(Exception):  # noqa: N818
    """Why not, and the way out."""


@dataclass(frozen=True, slots=True)
class Pushed:
    """What is in the registry now."""

    name: Name
    digest: str
    size: int
    files: tuple[str, ...]

    @property
    def uri(self) -> str:
        return f"oci://{self.name.host}/{self.name.repository}@{self.digest}"


def push(source: Path, reference: str, ca_file: str, output: str) -> int:
    """Push and print the URI; 1 with the reason on standard error when it did not work."""
    try:
        files, name = gather(source), target(reference)
        with Progress(
            TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn(), console=stderr()
        ) as bar:
            made = send(files, name, Door(name, ca_file, logins()), bar)
    except NotPushed as error:
        return failed(str(error))
    except Trouble as trouble:
        return failed(trouble.failure.message)
    except ssl.SSLCertVerificationError as error:
        return failed(
            f"{reference.partition('/')[0]}: its certificate is not accepted ({error.verify_message}). Name the PEM "
            "file of its authority with --ca-file."
        )
    except (OSError, http.client.HTTPException) as error:
        return failed(f"{reference.partition('/')[0]}: {error or type(error).__name__}. Run it again.")
    said = {"uri": made.uri, "digest": made.digest, "bytes": made.size, "files": list(made.files)}
    if output == "json":
        print(json.dumps(said, indent=2))
    elif output == "yaml":
        print(yaml.safe_dump(said, sort_keys=False), end="")
    else:
        print(made.uri)
    return 0


def gather(source: Path) -> dict[str, Path]:
    """The files by their names in the image.

    Raises:
        NotPushed: there is nothing to push, something among it is never loaded, or a GGUF file is damaged.
    """
    if source.is_file():
        found = {source.name: source}
    elif source.is_dir():
        within = ((f.relative_to(source).as_posix(), f) for f in sorted(source.rglob("*")) if f.is_file())
        found = {name: f for name, f in within if not any(part.startswith(".") for part in name.split("/"))}
    else:
        raise NotPushed(f"{source} is neither a file nor a folder.")
    if unsafe := [name for name in found if image.unsafe(name)]:
        raise NotPushed(f"{unsafe[0]} is a pickle by its name, and such files are never loaded. Push without it.")
    files = {name: f for name, f in found.items() if image.wanted(name)}
    models = [name for name in files if name.lower().endswith(image.MODELS)]
    if not models:
        raise NotPushed(f"{source} holds neither a *.gguf nor a *.safetensors file.")
    for name in models:
        if name.lower().endswith(".gguf"):
            with files[name].open("rb") as stream:
                _sound(name, stream, files[name].stat().st_size)
    return files


def _sound(name: str, stream: BinaryIO, size: int) -> None:
    try:
        gguf.read_header(stream, size, name)
    except BadWeights as bad:
        raise NotPushed(f"{name}: {bad.message}") from None


def target(reference: str) -> Name:
    """What it will be called.

    Raises:
        NotPushed: the reference names no registry, or a digest.
    """
    name, host = image.name(reference), reference.partition("/")[0]
    if "@" in reference or "://" in reference or name.host != host:
        raise NotPushed(
            f"{reference} must be REGISTRY/REPOSITORY[:TAG], like registry.internal/models/support-bot:1; the digest "
            "is what comes out."
        )
    return name if name.reference else Name(name.host, name.repository, "latest")


def logins() -> tuple[Path, ...]:
    """Where docker, podman, buildah and skopeo keep logins, in the order they look."""
    home = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")
    named, runtime = os.environ.get("REGISTRY_AUTH_FILE"), os.environ.get("XDG_RUNTIME_DIR")
    found = [*([Path(named)] if named else []), home / "config.json"]
    return tuple([*found, *([Path(runtime) / "containers" / "auth.json"] if runtime else [])])


class Door:
    """One repository of a registry, to write to."""

    def __init__(self, name: Name, ca_file: str, logins: tuple[Path, ...]) -> None:
        self._name, self._trust = name, request.trust(ca_file)
        self._registry = Registry(name, ca_file, logins, TIMEOUT, actions="pull,push")

    def ask(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None = None,
        body: Callable[[], Iterator[bytes]] = lambda: iter(()),
        length: int = 0,
    ) -> tuple[int, str]:
        """Status, and where it leads; asked once more with a login where the registry wants one.

        Raises:
            NotPushed: it is refused.
        """
        url = urljoin(f"{self._name.endpoint}/", url)
        status, location, challenge = self._once(method, url, headers or {}, body, length)
        if status == 401 and self._registry.log_in(challenge):
            status, location, _ = self._once(method, url, headers or {}, body, length)
        if status >= 400 and not (method == "HEAD" and status == 404):
            raise NotPushed(_refused(self._name, status))
        return status, urljoin(url, location)

    def _once(
        self, method: str, url: str, headers: Mapping[str, str], body: Callable[[], Iterator[bytes]], length: int
    ) -> tuple[int, str, str]:
        parts = urlsplit(url)
        if parts.scheme != "https":
            raise NotPushed(f"{parts.netloc} does not speak https, which nodes and Jobs pull by.")
        own = parts.netloc == urlsplit(self._name.endpoint).netloc  # an upload may lead to a store that knows no login
        shown = self._registry.show(url) if own else {}
        connection = http.client.HTTPSConnection(parts.netloc, timeout=TIMEOUT, context=self._trust)
        try:
            path = f"{parts.path}?{parts.query}" if parts.query else parts.path
            said = {"User-Agent": "slm", "Content-Length": str(length), **headers, **shown}
            connection.request(method, path, body=body() if length else None, headers=said)
            answer = connection.getresponse()
            answer.read()
            challenge = ", ".join(answer.headers.get_all("WWW-Authenticate") or ())
            return answer.status, answer.headers.get("Location") or "", challenge
        finally:
            connection.close()


def send(files: Mapping[str, Path], name: Name, door: Door, bar: Progress) -> Pushed:
    """Layer, configuration, manifest; a blob that is there is not sent again.

    Raises:
        NotPushed: the registry refuses it.
    """
    size = sum(len(_header(n, f)) + _padded(f.stat().st_size) for n, f in files.items())
    size += _end(size)
    task, sum_ = bar.add_task("reading", total=size), hashlib.sha256()
    for piece in _archive(files):
        sum_.update(piece)
        bar.advance(task, len(piece))
    layer = {"mediaType": LAYER, "digest": f"sha256:{sum_.hexdigest()}", "size": size}
    told = {"type": "layers", "diff_ids": [layer["digest"]]}
    # The architecture is a formality: there is no program in it, and nodes of any mount it.
    config = _document({"architecture": "amd64", "os": "linux", "config": {}, "rootfs": told})
    described = {"mediaType": CONFIG, "digest": _digest(config), "size": len(config)}
    manifest = _document({"schemaVersion": 2, "mediaType": MANIFEST, "config": described, "layers": [layer]})

    def counted() -> Iterator[bytes]:
        bar.reset(task, description="sending", total=size)
        for piece in _archive(files):
            yield piece
            bar.advance(task, len(piece))

    _blob(door, str(layer["digest"]), counted, size)
    _blob(door, str(described["digest"]), lambda: iter((config,)), len(config))
    kind = {"Content-Type": MANIFEST}
    door.ask("PUT", f"manifests/{name.reference}", kind, lambda: iter((manifest,)), len(manifest))
    return Pushed(name, _digest(manifest), size, tuple(sorted(files)))


def _blob(door: Door, digest: str, body: Callable[[], Iterator[bytes]], size: int) -> None:
    if door.ask("HEAD", f"blobs/{digest}")[0] == 200:
        return
    _, where = door.ask("POST", "blobs/uploads/")
    sent_to = f"{where}{'&' if '?' in where else '?'}digest={digest}"
    door.ask("PUT", sent_to, {"Content-Type": "application/octet-stream"}, body, size)


def _archive(files: Mapping[str, Path]) -> Iterator[bytes]:
    """A tar archive, the same bytes for the same files."""
    size = 0
    for name in sorted(files):
        header = _header(name, files[name])
        yield header
        size += len(header)
        with files[name].open("rb") as stream:
            sent = 0
            while piece := stream.read(CHUNK):
                yield piece
                sent += len(piece)
        yield bytes(_padded(sent) - sent)
        size += _padded(sent)
    yield bytes(_end(size))


def _header(name: str, file: Path) -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.mode = file.stat().st_size, 0o444
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def _padded(size: int) -> int:
    return size + -size % tarfile.BLOCKSIZE


def _end(size: int) -> int:
    """Zeros after so many bytes: two blocks, and up to a whole record, as tar writes them."""
    return 2 * tarfile.BLOCKSIZE + -(size + 2 * tarfile.BLOCKSIZE) % tarfile.RECORDSIZE


def _document(said: Mapping[str, Any]) -> bytes:
    return json.dumps(said, sort_keys=True, separators=(",", ":")).encode()


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _refused(name: Name, status: int) -> str:
    said = f"{name.host} answers {status} to {name.repository}"
    if status in (401, 403):
        return (
            f"{said}: `docker login {name.host}` (or podman, skopeo, buildah) with a user that may push there. Logins "
            "in a credential helper are not read: `skopeo login` writes a file."
        )
    if status == 404:
        return f"{said}: there is no such project or repository. Create it, or correct the name."
    if status == 413:
        return f"{said}: the registry, or the proxy before it, takes no blob of that size. Raise its limit."
    return f"{said}. Run it again; the registry's log says why."
