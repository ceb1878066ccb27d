"""spec.source -> where the weights are and how a pod mounts them."""

import hashlib
import posixpath
import re
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from smallmodel_operator.api.conditions import Condition, Reason
from smallmodel_operator.api.names import WEIGHTS_CLAIM
from smallmodel_operator.core.outcome import Refused

MOUNT_PATH: Final = "/weights"
VOLUME: Final = "weights"
DOWNLOADED: Final = "model.gguf"
"""Name of a downloaded file inside its folder `sha256-<hash>` of the claim."""
MAX_ARTIFACT: Final = 128

_OCI: Final = re.compile(r"^(?P<repository>[A-Za-z0-9][\w.:/-]*?)(?::[\w.-]+)?@(?P<digest>sha256:[0-9a-f]{64})$")
_HUB: Final = re.compile(
    r"^(?P<repository>[A-Za-z0-9][-\w.]{0,95}/[A-Za-z0-9][-\w.]{0,95})@(?P<revision>[0-9a-f]{40})(/(?P<file>[ -~]+))?$",
    re.ASCII,
)
_CLAIM: Final = re.compile(r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")
_SHA256: Final = re.compile(r"^[0-9a-f]{64}$")


@dataclass(frozen=True, slots=True)
class OciSource:
    """An image or artifact named by its digest, mounted as an image volume. `path` inside it, or empty."""

    reference: str
    digest: str
    path: str

    @property
    def artifact(self) -> str:
        return _bounded(self.digest, self.path)

    @property
    def mutable(self) -> str:
        """What may change unnoticed; empty when nothing can."""
        return ""


@dataclass(frozen=True, slots=True)
class ClaimSource:
    """A file or folder in a PersistentVolumeClaim of the model's namespace."""

    claim: str
    path: str
    sha256: str

    @property
    def digest(self) -> str:
        return f"sha256:{self.sha256}" if self.sha256 else ""

    @property
    def artifact(self) -> str:
        return _bounded(f"pvc:{self.claim}", self.path, f"#{self.sha256}" if self.sha256 else "")

    @property
    def mutable(self) -> str:
        if self.sha256:
            return "Its SHA-256 was right when it was inspected; what is written to the claim later is not checked."
        return "A file in a claim may change unnoticed; with `spec.source.sha256` it is checked when it is inspected."


@dataclass(frozen=True, slots=True)
class HttpsSource:
    """One GGUF file, downloaded once into the claim `smallmodel-weights` of the model's namespace."""

    url: str
    sha256: str

    path = DOWNLOADED

    @property
    def digest(self) -> str:
        return f"sha256:{self.sha256}"

    @property
    def artifact(self) -> str:
        return self.digest

    @property
    def folder(self) -> str:
        """Folder inside the claim; named by the digest, so that models share it and never overwrite it."""
        return f"sha256-{self.sha256}"

    @property
    def mutable(self) -> str:
        return ""


@dataclass(frozen=True, slots=True)
class HubSource:
    """One GGUF file of a commit in a model hub, downloaded once. `file` is empty where it is the only one."""

    repository: str
    revision: str
    file: str
    sha256: str

    path = DOWNLOADED

    @property
    def digest(self) -> str:
        return f"sha256:{self.sha256}" if self.sha256 else ""

    @property
    def artifact(self) -> str:
        """With a SHA-256 the file's own name, so that models share it wherever each has it from."""
        return self.digest or _bounded(f"hf:{self.repository}@{self.revision}", self.file)

    @property
    def folder(self) -> str:
        if self.sha256:
            return f"sha256-{self.sha256}"
        return "hf-" + hashlib.sha256(f"{self.repository}@{self.revision}/{self.file}".encode()).hexdigest()

    @property
    def mutable(self) -> str:
        return ""


Downloaded = HttpsSource | HubSource
"""Fetched by a Job into the claim `smallmodel-weights`."""
Source = OciSource | ClaimSource | HttpsSource | HubSource


def parse(uri: str, path: str, sha256: str) -> Source:
    """A source from `spec.source`.

    Raises:
        Refused: the URI names nothing immutable or nothing we can mount. The CRD refuses the same, earlier.
    """
    if sha256 and not _SHA256.match(sha256):
        raise _refused("`spec.source.sha256` must be 64 lower-case hex digits (`sha256sum FILE` prints them).")
    scheme, _, rest = uri.partition("://")
    if scheme == "oci":
        return _oci(rest, path)
    if scheme == "pvc":
        return _claim(rest, path, sha256)
    if scheme == "https":
        return _https(uri, path, sha256)
    if scheme == "hf":
        return _hub(rest, path, sha256)
    raise _refused(f"`spec.source.uri` {uri[:80]!r} must begin with oci://, pvc://, hf:// or https://.")


def claims(source: Source) -> tuple[str, ...]:
    """Names of the PersistentVolumeClaims the source refers to: what `Snapshot.claims` must cover."""
    if isinstance(source, ClaimSource):
        return (source.claim,)
    return (WEIGHTS_CLAIM,) if isinstance(source, Downloaded) else ()


def address(source: Downloaded, hub: str) -> str:
    """Whom the download asks first; `hub` is the hub's endpoint here."""
    return source.url if isinstance(source, HttpsSource) else hub


def volume(source: Source) -> tuple[dict[str, Any], dict[str, Any], str]:
    """Volume, mount (read-only) and the model's path in the container.

    The path is empty where only an inspection can tell it: an image or a claim's folder without `path`.
    """
    mount: dict[str, Any] = {"name": VOLUME, "mountPath": MOUNT_PATH, "readOnly": True}
    if isinstance(source, OciSource):
        image = {"reference": source.reference, "pullPolicy": "IfNotPresent"}
        return {"name": VOLUME, "image": image}, mount, model_path(source, "")
    claim = source.claim if isinstance(source, ClaimSource) else WEIGHTS_CLAIM
    if isinstance(source, Downloaded):
        # The engine sees its own file only, not those of the namespace's other models.
        mount["subPath"] = source.folder
    volume = {"name": VOLUME, "persistentVolumeClaim": {"claimName": claim, "readOnly": True}}
    return volume, mount, model_path(source, "")


def model_path(source: Source, file: str) -> str:
    """Path in the container: of the inspected file (or folder), else of the one the user named; empty while unknown."""
    known = file or (source.path if source.path.endswith(".gguf") else "")
    return posixpath.normpath(posixpath.join(MOUNT_PATH, known)) if known else ""


def _oci(rest: str, path: str) -> OciSource:
    match = _OCI.match(rest)
    if not match:
        raise _refused(
            f"`spec.source.uri` oci://{rest[:80]} must name a digest: oci://registry/repository@sha256:… "
            "(a tag alone may change; `crane digest`, `oras resolve` or the registry's page show it)."
        )
    return OciSource(f"{match['repository']}@{match['digest']}", match["digest"], _relative(path))


def _claim(rest: str, path: str, sha256: str) -> ClaimSource:
    claim, _, inner = rest.partition("/")
    if not _CLAIM.match(claim) or len(claim) > 253:
        raise _refused(f"`spec.source.uri` pvc://{rest[:80]} must be pvc://CLAIM/PATH with the name of a claim.")
    return ClaimSource(claim, posixpath.join(_relative(inner), _relative(path)).rstrip("/"), sha256)


def _hub(rest: str, path: str, sha256: str) -> HubSource:
    match = _HUB.match(rest)
    if not match:
        repository, _, revision = rest.partition("@")
        branch = revision.partition("/")[0] or "main"
        raise _refused(
            f"`spec.source.uri` hf://{rest[:80]} must name a commit: hf://ORGANISATION/REPOSITORY@COMMIT[/FILE] (a "
            f"branch or tag may change; `git ls-remote https://huggingface.co/{repository[:80]} {branch[:40]}` prints "
            "the commit)."
        )
    file = _relative(match["file"] or "")
    if file and path:
        raise _refused("`spec.source.path` must be empty where `spec.source.uri` names the file already.")
    return HubSource(match["repository"], match["revision"], file or _relative(path), sha256)


def _https(uri: str, path: str, sha256: str) -> HttpsSource:
    try:
        parts = urlsplit(uri)
        bad = not parts.hostname or parts.port == 0
    except ValueError:
        bad = True
    if bad or any(c.isspace() or not c.isprintable() for c in uri):
        raise _refused(f"`spec.source.uri` {uri[:80]!r} is not an https:// address of a file.")
    if parts.username or parts.password:
        raise _refused("`spec.source.uri` must not hold a user name or password: everyone may read it.")
    if not sha256:
        raise _refused("`spec.source.sha256` is required with https:// (`sha256sum FILE` prints it).")
    if path:
        raise _refused("`spec.source.path` must be empty with https://: the address names the one file.")
    return HttpsSource(uri, sha256)


def _relative(path: str) -> str:
    """A path that stays inside the volume."""
    clean = posixpath.normpath(path.strip("/")) if path.strip("/") else ""
    if clean == ".." or clean.startswith("../") or "\0" in clean:
        raise _refused(f"The path {path[:80]!r} in `spec.source` must stay inside the volume.")
    return "" if clean == "." else clean


def _bounded(base: str, path: str, suffix: str = "") -> str:
    """`base/path` + suffix; a part that is too long is replaced by its hash, so that the name stays unique."""
    name = f"{base}/{path}{suffix}" if path else f"{base}{suffix}"
    if len(name) <= MAX_ARTIFACT:
        return name
    short = hashlib.sha256(f"{base}/{path}".encode()).hexdigest()[:32]
    return f"{base[: MAX_ARTIFACT - 34 - len(suffix)]}/~{short}{suffix}"


def _refused(message: str) -> Refused:
    return Refused(Reason.INVALID_SPEC, message, condition=Condition.WEIGHTS_READY)
