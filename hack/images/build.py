"""The images of this repository by name, built here without a container engine and cached by their content."""

import fcntl
import hashlib
import platform
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hack.cluster.paths import REPOSITORY, cache
from hack.images import bases, layers, oci, prune
from hack.images.containerfile import parse

REGISTRY = "slm.test"
"""Registry part of names inside the test bed; no such host exists, so nothing can be pulled by accident."""


def build_image(name: str) -> oci.Image:
    """pause, operator, gateway, llamacpp, quantizer, converter, toolbox, clients or analyzer."""
    (cache() / "images").mkdir(parents=True, exist_ok=True)
    with (cache() / "images" / f".{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        made = {
            "pause": _pause, "operator": _operator, "gateway": _gateway, "llamacpp": _llamacpp, "toolbox": _toolbox,
            "clients": _clients, "quantizer": _quantizer, "converter": _converter, "analyzer": _analyzer,
        }  # fmt: skip
        image = made[name]()
    prune.prune(cache() / "images", cache() / "clusters", time.time())
    return image


def pack_weights(name: str, files: Mapping[str, Path]) -> oci.Image:
    """An image that holds files and nothing else, the same digest for the same files on every machine."""
    target = cache() / "images"
    target.mkdir(parents=True, exist_ok=True)
    key = hashlib.sha256("".join(f"{n}{oci.file_digest(p)}" for n, p in sorted(files.items())).encode()).hexdigest()[
        :16
    ]
    layer = target / f"weights-{name}-{key}.layer.tar"
    if not layer.exists():
        temporary = layer.with_suffix(".part")
        oci.layer_of_files(files, temporary)
        temporary.replace(layer)
    return _packed(f"{REGISTRY}/weights/{name}:1", (layer,), {})


def _pause() -> oci.Image:
    """Static busybox called by the name of its applet; it needs nothing else in the image."""
    layer = cache() / "images" / "pause-sleep.layer.tar"
    if not layer.exists():
        busybox = bases.layer(bases.STATIC).tree / "bin" / "busybox"
        oci.layer_of_files({"sleep": busybox}, layer.with_suffix(".part"), mode=0o555)
        layer.with_suffix(".part").replace(layer)
    return _packed(f"{REGISTRY}/pause:1", (layer,), {"Entrypoint": ["/sleep", "2147483647"], "User": "65532"})


def _operator() -> oci.Image:
    from hack.install.wheels import fetch

    return _from_file("smallmodel-operator", REPOSITORY / "operator" / "Containerfile", fetch(), bases.PYTHON)


def _gateway() -> oci.Image:
    from hack.images.gateway import context

    folder = REPOSITORY / "hack" / "images" / "gateway"
    machine = platform.machine()
    return _from_file("smallmodel-gateway", folder / "Containerfile", context.make(machine=machine), bases.PYTHON)


def _llamacpp() -> oci.Image:
    folder = REPOSITORY / "hack" / "images" / "llamacpp"
    # The base already holds the package: apt in a chroot would need the network set up inside it.
    return _from_file("smallmodel-llamacpp", folder / "Containerfile", folder, bases.ENGINE, skip=("apt-get",))


def _quantizer() -> oci.Image:
    folder = REPOSITORY / "hack" / "images" / "quantizer"
    return _from_file("quantizer", folder / "Containerfile", folder, bases.QUANTIZER, skip=("apt-get",))


def _converter() -> oci.Image:
    folder = REPOSITORY / "hack" / "images" / "converter"
    return _from_file("converter", folder / "Containerfile", folder, bases.CONVERTER, skip=("apt-get",))


def _toolbox() -> oci.Image:
    from hack.images.toolbox.wheels import fetch

    folder = REPOSITORY / "hack" / "images" / "toolbox"
    return _from_file("toolbox", folder / "Containerfile", fetch(), bases.PYTHON)


def _analyzer() -> oci.Image:
    from hack.images.analyzer import context

    folder = REPOSITORY / "hack" / "images" / "analyzer"
    machine = platform.machine()
    return _from_file("smallmodel-analyzer", folder / "Containerfile", context.make(machine=machine), bases.PYTHON)


def _clients() -> oci.Image:
    from hack.images.clients.npm import fetch

    folder = REPOSITORY / "hack" / "images" / "clients"
    return _from_file("clients", folder / "Containerfile", fetch(), bases.NODE)


def _from_file(name: str, file: Path, context: Path, base: bases.Base, skip: tuple[str, ...] = ()) -> oci.Image:
    parsed = parse(file)
    stack = [bases.layer(base)]
    for word, rest in parsed.steps:
        if not any(s in rest for s in skip):
            stack.append(layers.step(word, rest, context, stack))
    key = hashlib.sha256("".join(layer.key for layer in stack).encode()).hexdigest()[:12]
    return _packed(f"{REGISTRY}/{name}:{key}", tuple(layer.tar for layer in stack), parsed.config)


def _packed(name: str, tars: tuple[Path, ...], config: Mapping[str, Any]) -> oci.Image:
    key = hashlib.sha256(f"{name}{[(str(t), t.stat().st_size, t.stat().st_mtime) for t in tars]}{config}".encode())
    archive = (
        cache() / "images" / f"{name.split('/', 1)[1].replace('/', '_').replace(':', '_')}-{key.hexdigest()[:12]}.tar"
    )
    prune.note_layers(archive, tars)
    prune.mark_used(archive)
    if not archive.exists():
        return oci.pack(name, tars, config, archive)
    return oci.read(name, archive)
