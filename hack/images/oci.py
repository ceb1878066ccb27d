"""Pack layers as an OCI archive that containerd, skopeo and docker load."""

import hashlib
import io
import json
import os
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True, slots=True)
class Image:
    """A packed image. `digest` is the manifest's, `reference` is what a pod names: `name@sha256:…`."""

    name: str
    archive: Path
    digest: str

    @property
    def reference(self) -> str:
        return f"{self.name.rsplit(':', 1)[0]}@{self.digest}"


def pack(name: str, layers: Sequence[Path], config: Mapping[str, Any], archive: Path) -> Image:
    """Write an archive of uncompressed layers (tar files). `name` has a tag."""
    blobs: dict[str, bytes | Path] = {}
    descriptors, diff_ids = [], []
    for layer in layers:
        digest = file_digest(layer)
        blobs[digest] = layer
        diff_ids.append(digest)
        descriptors.append(_descriptor("application/vnd.oci.image.layer.v1.tar", digest, layer.stat().st_size))
    machine = ARCHITECTURE.get(os.uname().machine, os.uname().machine)
    document = {
        "architecture": machine,
        "os": "linux",
        "config": dict(config),
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    }
    config_descriptor = _add(blobs, "application/vnd.oci.image.config.v1+json", document)
    media = "application/vnd.oci.image.manifest.v1+json"
    manifest = {"schemaVersion": 2, "mediaType": media, "config": config_descriptor, "layers": descriptors}
    descriptor = _add(blobs, media, manifest)
    # containerd reads the full name from its own annotation, other tools the tag from OCI's.
    descriptor["annotations"] = {
        "io.containerd.image.name": name,
        "org.opencontainers.image.ref.name": name.rsplit(":", 1)[1],
    }
    index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [descriptor]}
    _write(archive, blobs, index)
    return Image(name, archive, descriptor["digest"])


def read(name: str, archive: Path) -> Image:
    """An archive written before."""
    return Image(name, archive, _manifest(archive)["digest"])


def named(archive: Path) -> tuple[str, str]:
    """Full name and digest of the image in an archive."""
    manifest = _manifest(archive)
    return manifest["annotations"]["io.containerd.image.name"], manifest["digest"]


def _manifest(archive: Path) -> dict[str, Any]:
    with tarfile.open(archive) as tar:
        member = tar.extractfile("index.json")
        if member is None:
            raise ValueError(f"{archive} is no OCI archive")
        return dict(json.load(member)["manifests"][0])


def layer_of_files(files: Mapping[str, Path], target: Path, mode: int = 0o444) -> Path:
    """A layer of single files, the same bytes every time: for weights."""
    with tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as tar:
        for name in sorted(files):
            info = tarfile.TarInfo(name.lstrip("/"))
            info.size = files[name].stat().st_size
            info.mode = mode
            with files[name].open("rb") as content:
                tar.addfile(info, content)
    return target


def file_digest(path: Path) -> str:
    with path.open("rb") as content:
        return f"sha256:{hashlib.file_digest(content, 'sha256').hexdigest()}"


def _descriptor(media: str, digest: str, size: int) -> dict[str, Any]:
    return {"mediaType": media, "digest": digest, "size": size}


def _add(blobs: dict[str, bytes | Path], media: str, document: Any) -> dict[str, Any]:
    data = json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    blobs[digest] = data
    return _descriptor(media, digest, len(data))


def _write(archive: Path, blobs: Mapping[str, bytes | Path], index: Any) -> None:
    temporary = archive.with_name(f".{archive.name}.{os.getpid()}")
    with tarfile.open(temporary, "w", format=tarfile.PAX_FORMAT) as tar:
        _file(tar, "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
        _file(tar, "index.json", json.dumps(index, sort_keys=True).encode())
        for digest in sorted(blobs):
            _file(tar, f"blobs/sha256/{digest.removeprefix('sha256:')}", blobs[digest])
    temporary.replace(archive)


def _file(tar: tarfile.TarFile, name: str, content: bytes | Path) -> None:
    info = tarfile.TarInfo(name)
    info.mode = 0o644
    if isinstance(content, bytes):
        info.size = len(content)
        tar.addfile(info, io.BytesIO(content))
        return
    info.size = content.stat().st_size
    with content.open("rb") as data:
        tar.addfile(info, data)
