"""Where the weights are and how a pod mounts them."""

import hashlib
import posixpath
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from smallmodel_operator.api.conditions import Condition, Reason
from smallmodel_operator.api.names import WEIGHTS_CLAIM
from smallmodel_operator.core.engine import Adapter
from smallmodel_operator.core.outcome import Refused
from smallmodel_operator.weights import image
from smallmodel_operator.weights.recipe import Made

MOUNT_PATH: Final = "/weights"
VOLUME: Final = "weights"
DOWNLOADED: Final = "model.gguf"
"""Name of a downloaded file inside its folder `sha256-<hash>` of the claim."""
FOLDER: Final = "safetensors"
"""The same of a downloaded folder of safetensors files."""
EITHER: Final = "Either"
"""Beside `GGUF` and `Safetensors`: a GGUF file, and where there is none, the folder that one can be made of."""
IMAGE_FILES: Final = "files"
"""Name of the folder with an image's files inside its folder `oci-<digest>` of the claim."""
MAX_ARTIFACT: Final = 128


class _Image:
    """An image or artifact named by its digest. `path` inside it, or empty."""

    __slots__ = ()
    digest: str
    path: str

    @property
    def artifact(self) -> str:
        """The files are the same, wherever they are."""
        return _bounded(self.digest, self.path)

    @property
    def mutable(self) -> str:
        """What may change unnoticed; empty when nothing can."""
        return ""


@dataclass(frozen=True, slots=True)
class OciSource(_Image):
    """One that is mounted as an image volume."""

    reference: str
    digest: str
    path: str


@dataclass(frozen=True, slots=True)
class CopiedImage(_Image):
    """One whose files are copied once into the claim `smallmodel-weights`, where nodes cannot mount it."""

    reference: str
    digest: str
    path: str

    @property
    def folder(self) -> str:
        """Folder inside the claim; named by the digest, so that models share it."""
        return f"oci-{self.digest.removeprefix('sha256:')}"


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


class _Summed:
    """One file with its SHA-256 in the spec, downloaded once into the claim `smallmodel-weights` of the namespace."""

    __slots__ = ()
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
class HttpsSource(_Summed):
    """One GGUF file at an address."""

    url: str
    sha256: str


@dataclass(frozen=True, slots=True)
class BucketSource(_Summed):
    """One GGUF file in a bucket of the S3 store."""

    bucket: str
    key: str
    sha256: str


@dataclass(frozen=True, slots=True)
class HubSource:
    """One GGUF file of a commit in a model hub, or a folder of safetensors files, downloaded once.

    `file` is empty where the GGUF file is the only one, or the folder is the repository.
    """

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


Downloaded = HttpsSource | HubSource | BucketSource
"""Fetched by a Job into the claim `smallmodel-weights`."""


@dataclass(frozen=True, slots=True)
class MovingSource:
    """What may be another file tomorrow: a hub's branch, an image's tag, or a file without its SHA-256. A Job finds out
    what it is now.

    `origin`: where to ask, with the branch for a commit or without a SHA-256. `owner`: the model that asks. `key`: of
    its wish; another one is another question.
    """

    origin: Downloaded | image.Name
    owner: str = ""
    key: str = ""

    path = DOWNLOADED
    digest = ""
    mutable = ""

    @property
    def artifact(self) -> str:
        return f"moving:{self.owner}:{self.key}"

    @property
    def folder(self) -> str:
        """Folder a file is fetched into until its name is known; of the address, so that the next Job goes on there."""
        return "moving-" + hashlib.sha256(repr(self.origin).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class AdapterSet:
    """LoRA adapters in images, by digest: looked at together, served by the engine beside the weights."""

    adapters: tuple[Adapter, ...]

    path = ""
    digest = ""
    mutable = ""

    @property
    def artifact(self) -> str:
        named = sorted(f"{a.name} {a.reference} {a.path}" for a in self.adapters)
        return "adapters:" + hashlib.sha256("\n".join(named).encode()).hexdigest()


Asked = Downloaded | MovingSource
"""What a server is asked for by an address: a file, a folder, or what a moving source holds now."""
Fetched = Asked | CopiedImage
"""What a Job with a way out asks for."""
Kept = Fetched | Made
"""In that claim, whoever put it there."""
Source = OciSource | ClaimSource | Kept | AdapterSet


def placed(source: Source, *, image_volumes: bool) -> Source:
    """An image is mounted where nodes can do that, and copied into the claim where they cannot. Only here."""
    if isinstance(source, OciSource) and not image_volumes:
        return CopiedImage(source.reference, source.digest, source.path)
    return source


def stored(source: Source) -> bool:
    """Whether it lies in the claim `smallmodel-weights`, or comes there. Of a tag only the digest is asked."""
    return isinstance(source, Kept) and not (isinstance(source, MovingSource) and isinstance(source.origin, image.Name))


def subfolder(source: Kept) -> str:
    """What a pod may see of that claim: its own weights, not those of the namespace's other models."""
    return f"{source.folder}/{IMAGE_FILES}" if isinstance(source, CopiedImage) else source.folder


def claims(source: Source) -> tuple[str, ...]:
    """Names of the PersistentVolumeClaims the source refers to: what `Snapshot.claims` must cover."""
    if isinstance(source, ClaimSource):
        return (source.claim,)
    return (WEIGHTS_CLAIM,) if stored(source) else ()


def address(source: Fetched | image.Name, hub: str, store: str) -> str:
    """Whom the download asks first; `hub` and `store` are the endpoints of a model hub and of the S3 store here.

    Raises:
        Refused: the operator was not told of an S3 store.
    """
    if isinstance(source, MovingSource):
        return address(source.origin, hub, store)
    if isinstance(source, image.Name | CopiedImage):
        return (image.name(source.reference) if isinstance(source, CopiedImage) else source).endpoint
    if isinstance(source, HttpsSource):
        return source.url
    if isinstance(source, HubSource):
        return hub
    if not store:
        raise Refused(
            Reason.FEATURE_MISSING,
            "s3:// needs the address of the S3 store: set the chart's value `downloads.s3.endpoint`.",
            condition=Condition.WEIGHTS_READY,
        )
    return f"{store}/{source.bucket}/{quote(source.key)}"


def volume(source: Source) -> tuple[dict[str, Any], dict[str, Any], str]:
    """Volume, mount (read-only) and the model's path in the container.

    The path is empty where only an inspection can tell it: an image or a claim's folder without `path`.
    """
    mount: dict[str, Any] = {"name": VOLUME, "mountPath": MOUNT_PATH, "readOnly": True}
    if isinstance(source, OciSource):
        pulled = {"reference": source.reference, "pullPolicy": "IfNotPresent"}
        return {"name": VOLUME, "image": pulled}, mount, model_path(source, "")
    claim = source.claim if isinstance(source, ClaimSource) else WEIGHTS_CLAIM
    if isinstance(source, Kept):
        mount["subPath"] = subfolder(source)
    volume = {"name": VOLUME, "persistentVolumeClaim": {"claimName": claim, "readOnly": True}}
    return volume, mount, model_path(source, "")


def model_path(source: Source, file: str) -> str:
    """Path in the container: of the inspected file (or folder), else of the one the user named; empty while unknown."""
    known = file or (source.path if source.path.endswith(".gguf") else "")
    return posixpath.normpath(posixpath.join(MOUNT_PATH, known)) if known else ""


def _bounded(base: str, path: str, suffix: str = "") -> str:
    """`base/path` + suffix; a part that is too long is replaced by its hash, so that the name stays unique."""
    name = f"{base}/{path}{suffix}" if path else f"{base}{suffix}"
    if len(name) <= MAX_ARTIFACT:
        return name
    short = hashlib.sha256(f"{base}/{path}".encode()).hexdigest()[:32]
    return f"{base[: MAX_ARTIFACT - 34 - len(suffix)]}/~{short}{suffix}"
