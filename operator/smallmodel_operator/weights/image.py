"""An image in a registry: its name, its manifests, and what of its layers is weights. Pure."""

import json
import posixpath
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from smallmodel_operator.api.conditions import Reason
from smallmodel_operator.weights import foreign, pull
from smallmodel_operator.weights.refusal import BadWeights, invalid
from smallmodel_operator.weights.result import Failure

INDEXES: Final = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
MANIFESTS: Final = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
ACCEPT: Final = ", ".join((*INDEXES, *MANIFESTS))
MAX_MANIFEST: Final = 4 * 2**20
"""Bytes; what registries accept."""
MAX_LAYERS: Final = 1024
MAX_NAME: Final = 1024
DOCKER_HUB: Final = "docker.io"
DOCKER_HUB_API: Final = "registry-1.docker.io"
TITLES: Final = ("org.opencontainers.image.title", "org.cncf.model.filepath")
"""Annotations with the name of a layer that is a file: of ORAS, and of ModelPack."""
UNNAMED: Final = ("application/vnd.docker.ai.gguf.v3", "application/vnd.ollama.image.model")
"""Layers that are a GGUF file and need no name."""
MODELS: Final = (".gguf", ".safetensors")
BESIDE: Final = (".json", ".jinja", ".model", ".txt", ".tiktoken", ".sig", ".md")
"""What an engine reads beside safetensors (configuration, tokenizer, template), signatures, what tells of a model."""
LICENCES: Final = ("LICENSE", "LICENCE", "NOTICE")
ATTESTATION: Final = "vnd.docker.reference.type"
ARCHITECTURES: Final[Mapping[str, str]] = {"x86_64": "amd64", "aarch64": "arm64"}
"""A machine's own word for its architecture, and an image's."""
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
_TAR: Final = re.compile(r"[.+]tar([.+](gzip|zstd))?$")
_STATUS: Final[Mapping[int, Reason]] = {
    401: Reason.SOURCE_UNAUTHORIZED,
    403: Reason.SOURCE_FORBIDDEN,
    404: Reason.SOURCE_NOT_FOUND,
    410: Reason.SOURCE_NOT_FOUND,
}


@dataclass(frozen=True, slots=True)
class Name:
    """What an image is called. `reference`: its tag, or its digest."""

    host: str
    repository: str
    reference: str

    @property
    def endpoint(self) -> str:
        """Of the repository in the registry's HTTP API."""
        return f"https://{DOCKER_HUB_API if self.host == DOCKER_HUB else self.host}/v2/{self.repository}"


@dataclass(frozen=True, slots=True)
class Layer:
    """A blob of an image. `file`: its name where it is a file itself; empty: it is an archive of files."""

    digest: str
    size: int
    file: str = ""


def name(text: str) -> Name:
    """`[registry/]repository:tag` or `…@digest`, read as container runtimes read it."""
    base, _, digest = text.partition("@")
    head, slash, rest = base.partition("/")
    host, path = (head, rest) if slash and (set(".:") & set(head) or head == "localhost") else (DOCKER_HUB, base)
    repository, _, tag = path.partition(":")
    if host == DOCKER_HUB and "/" not in repository:
        repository = f"library/{repository}"
    return Name(host, repository, digest or tag)


def manifest(data: bytes) -> Mapping[str, Any]:
    """A manifest or an index.

    Raises:
        BadWeights: it is neither.
    """
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or not isinstance(found.get("manifests", found.get("layers")), list):
        raise _damaged("it is neither a manifest nor an index")
    return found


def choose(index: Mapping[str, Any], machine: str) -> str:
    """Digest of the manifest for this machine; of an index with one entry only, that one. The first of several.

    Raises:
        BadWeights: there is none.
    """
    architecture = ARCHITECTURES.get(machine, machine)
    entries = [e for e in index["manifests"] if isinstance(e, dict) and _is_digest(e.get("digest"))]
    entries = [e for e in entries if ATTESTATION not in str(e.get("annotations"))]
    for entry in entries:
        if _platform(entry) == f"linux/{architecture}":
            return str(entry["digest"])
    if len(entries) == 1:
        return str(entries[0]["digest"])
    has = ", ".join(_platform(e) for e in entries[:8]) or "nothing"
    raise BadWeights(
        Reason.WEIGHTS_NOT_FOUND,
        f"The image has no manifest for linux/{architecture} (it has: {has}). Push one, or name the digest of the one "
        "that is meant in `spec.source.uri`.",
    )


def layers(found: Mapping[str, Any]) -> tuple[Layer, ...]:
    """What of a manifest may hold weights, in the order in which later ones replace what earlier ones brought.

    Raises:
        BadWeights: it is damaged, or names a file that leads out of its folder.
    """
    entries = found.get("layers") or []
    if len(entries) > MAX_LAYERS:
        raise _damaged(f"it has more than {MAX_LAYERS} layers")
    layers: list[Layer] = []
    for entry in entries:
        if not isinstance(entry, dict) or not _is_digest(entry.get("digest")) or type(entry.get("size")) is not int:
            raise _damaged("a layer has no digest or no size")
        if entry["size"] < 0:
            raise _damaged("a layer is smaller than nothing")
        media, file = str(entry.get("mediaType") or ""), _title(entry, len(layers))
        if _TAR.search(media):
            layers.append(Layer(entry["digest"], entry["size"]))
        elif file and wanted(file):
            layers.append(Layer(entry["digest"], entry["size"], inside(file)))
    return tuple(layers)


def needed(missing: Sequence[Layer]) -> int:
    """Bytes in the claim until all of it is unpacked: an archive lies there beside what is in it."""
    return sum(layer.size for layer in missing) + max((la.size for la in missing if not la.file), default=0)


def wanted(path: str) -> bool:
    """Whether a file is weights, or something an engine reads beside them. Never a pickle, never code."""
    base = posixpath.basename(path)
    return base.lower().endswith((*MODELS, *BESIDE)) or base.startswith(LICENCES)


def unsafe(path: str) -> bool:
    """Whether it may be a pickle."""
    return path.lower().endswith(tuple(foreign.UNSAFE_SUFFIXES))


def inside(path: str) -> str:
    """A path in the image, relative and clean.

    Raises:
        BadWeights: it leads out.
    """
    clean = posixpath.normpath(path)
    bad = path.startswith("/") or clean == ".." or clean.startswith("../") or len(path) > MAX_NAME
    if bad or any(not c.isprintable() for c in path):
        raise _damaged(f"the name {path[:120]!r} leads out of it, or is none")
    return clean


def refused(host: str, status: int, failure: Failure) -> Failure:
    """What a registry's answer means; `failure` is what it would be of any server."""
    reason = _STATUS.get(status)
    if reason is None:
        return failure
    return Failure(reason, f"{host} answers {status} {HTTPStatus(status).phrase}. {pull.way_out(reason)}")


def lies(host: str, wanted: str, found: str) -> Failure:
    """What came is not what was asked for."""
    way = pull.way_out(Reason.DIGEST_MISMATCH)
    return Failure(Reason.DIGEST_MISMATCH, f"{host} sends {found} where {wanted} was asked for. {way}")


def _title(entry: Mapping[str, Any], number: int) -> str:
    notes = entry.get("annotations")
    notes = notes if isinstance(notes, dict) else {}
    for key in TITLES:
        if isinstance(notes.get(key), str) and notes[key]:
            return str(notes[key])
    return (f"model-{number}.gguf" if number else "model.gguf") if entry.get("mediaType") in UNNAMED else ""


def _platform(entry: Mapping[str, Any]) -> str:
    platform = entry.get("platform")
    platform = platform if isinstance(platform, dict) else {}
    return f"{platform.get('os') or 'unknown'}/{platform.get('architecture') or 'unknown'}"[:64]


def _is_digest(value: object) -> bool:
    return isinstance(value, str) and _DIGEST.fullmatch(value) is not None


def _damaged(why: str) -> BadWeights:
    return invalid(f"The image is damaged: {why}. Build and push it again.")
