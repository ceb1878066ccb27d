"""Building our images with the engine that is there, and bringing them to where the cluster finds them."""

import hashlib
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from hack.install.steps import ROOT, InstallError, capture, stream

ENGINES = ("docker", "podman", "buildah")
VERSION = "0.1.0"
PULLABLE = ("unauthorized", "authentication required", "denied", "insufficient_scope")


@dataclass(frozen=True)
class Image:
    """One image of ours: its name below the registry, its Containerfile and the folder that is its build context."""

    name: str
    containerfile: Path
    context: Path
    base: str
    """Default of the build argument BASE."""

    def tag(self, machine: str) -> str:
        """Version and a hash of everything the image is made from: the same inputs are the same tag."""
        made = hashlib.sha256(f"{self.base}\n{machine}\n".encode())
        for file in (self.containerfile, *sorted(p for p in self.context.rglob("*") if p.is_file())):
            made.update(f"{file.name}\n".encode() + file.read_bytes())
        return f"{VERSION}-{made.hexdigest()[:12]}"


OPERATOR = "smallmodel-operator"
LLAMACPP = "smallmodel-llamacpp"
GATEWAY = "smallmodel-gateway"
ANALYZER = "smallmodel-analyzer"


def images(
    operator: Path, gateway: Path, python_base: str = "", debian_base: str = "", analyzer: Path | None = None
) -> list[Image]:
    """Our images; `operator`, `gateway` and `analyzer`, which not everybody wants, are build contexts."""
    ours, engine = ROOT / "hack" / "images" / "gateway", ROOT / "hack" / "images" / "llamacpp"
    python = python_base or "python:3.11-slim"
    made = [
        Image(OPERATOR, ROOT / "operator" / "Containerfile", operator, python),
        Image(GATEWAY, ours / "Containerfile", gateway, python),
        Image(LLAMACPP, engine / "Containerfile", engine, debian_base or "debian:forky-slim"),
    ]
    if analyzer is not None:
        made.append(Image(ANALYZER, ROOT / "hack" / "images" / "analyzer" / "Containerfile", analyzer, python))
    return made


class Builder(Protocol):
    """Makes an image and hands it on."""

    name: str
    id_format: str
    """Template by which `inspect` prints the image's id."""

    def build(self, image: Image, reference: str) -> None: ...

    def push(self, reference: str, *, insecure: bool) -> str:
        """Pushes and returns the digest the registry knows the image by."""
        ...

    def archive(self, reference: str, path: Path) -> None:
        """Writes a file that `kind load image-archive` takes."""
        ...


@dataclass(frozen=True)
class Docker:
    """docker, with its daemon."""

    name: str = "docker"
    id_format: str = "{{.Id}}"

    def build(self, image: Image, reference: str) -> None:
        arguments = ["-f", str(image.containerfile), "--build-arg", f"BASE={image.base}", "-t", reference]
        stream([self.name, "build", *arguments, str(image.context)], what=f"build of {reference}")

    def push(self, reference: str, *, insecure: bool) -> str:
        # docker decides by its daemon's own insecure-registries (loopback is always in it).
        explain_push(reference, lambda: stream([self.name, "push", reference], what=f"push of {reference}"))
        repository = reference.rsplit(":", 1)[0]
        for known in capture([self.name, "inspect", "-f", '{{join .RepoDigests "\\n"}}', reference]).split():
            name, _, digest = known.partition("@")
            if name == repository:
                return digest
        raise InstallError(f"docker pushed {reference} but names no digest for it; try podman or buildah.")

    def archive(self, reference: str, path: Path) -> None:
        stream([self.name, "save", "-o", str(path), reference], what=f"export of {reference}")


@dataclass(frozen=True)
class Podman:
    """podman or buildah: no daemon, and the push itself says the digest."""

    name: str = "podman"
    id_format: str = "{{.Id}}"

    def build(self, image: Image, reference: str) -> None:
        arguments = ["-f", str(image.containerfile), "--build-arg", f"BASE={image.base}", "-t", reference]
        stream([self.name, "build", *arguments, str(image.context)], what=f"build of {reference}")

    def push(self, reference: str, *, insecure: bool) -> str:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "digest"
            tls = ["--tls-verify=false"] if insecure else []
            command = [self.name, "push", *tls, "--digestfile", str(file), reference]
            explain_push(reference, lambda: capture(command))
            return file.read_text().strip()

    def archive(self, reference: str, path: Path) -> None:
        stream([self.name, "push", reference, f"docker-archive:{path}:{reference}"], what=f"export of {reference}")


def explain_push(reference: str, push: Callable[[], object]) -> None:
    """Runs the push; a refusal becomes the command that fixes it."""
    try:
        push()
    except InstallError as error:
        host = reference.split("/", 1)[0]
        text = str(error)
        if any(word in text.lower() for word in PULLABLE):
            raise InstallError(
                f"The registry {host} refused the push of {reference}: log in with a user that may push "
                f"(docker login {host}).\n{text}"
            ) from None
        raise


def find_engine(wanted: str = "") -> Builder | None:
    """The first engine that really works: a docker program without its daemon does not count."""
    for name in (wanted,) if wanted else ENGINES:
        if not shutil.which(name):
            continue
        if name == "docker":
            try:
                capture(["docker", "info", "--format", "{{.ServerVersion}}"])
            except InstallError:
                continue
            return Docker()
        return Podman(name, id_format="{{.FromImageID}}" if name == "buildah" else "{{.Id}}")
    if wanted:
        raise InstallError(f"ENGINE={wanted} is not there or does not answer; known: {', '.join(ENGINES)}.")
    return None
