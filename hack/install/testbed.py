"""The test bed as a target: its programs, its network namespace, its images. Imported only when it is asked for."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from hack.install.release import Placed
from hack.install.steps import ROOT, Access, InstallError, say, step

if TYPE_CHECKING:
    from hack.cluster.node import Node

VALUES = ROOT / "hack" / "install" / "testbed-values.yaml"
"""What differs on a small node: 600 s tokens, so that every test survives their rotation, and little CPU a replica."""


def helm() -> str:
    """The pinned Helm, built if need be."""
    from hack.cluster.binaries import BuildFailed, program

    try:
        return program("helm")
    except BuildFailed as error:
        text = f"helm is not on the PATH (3.14 or later will do), and it cannot be built here.\n{error}"
        raise InstallError(text) from None


def node() -> "Node":
    """The node CLUSTER_NAME names, like `make cluster-up` does."""
    from hack.cluster.node import Node

    return Node(os.environ.get("CLUSTER_NAME") or "slm")


def access() -> Access:
    """Reaches into the test bed's network namespace; the host has no other way to it."""
    from hack.cluster.binaries import program

    bed = node()
    if not bed.running():
        raise InstallError("The test bed is not up: make cluster-up.")
    return Access(program("kube", "kubectl"), helm(), bed.prefix, {"KUBECONFIG": str(bed.kubeconfig)})


def place() -> Placed:
    """Builds our images without a container engine and imports them into the node's containerd."""
    from hack.images.build import build_image

    step(2, 4, "building images for the test bed")
    images = {name: build_image(name) for name in ("operator", "gateway", "llamacpp")}
    step(3, 4, "loading images into the node")
    bed = node()
    for image in images.values():
        bed.load_image(image.archive)
        say(f"      {image.reference}")
    operator = images["operator"]
    registry = operator.name.rsplit("/", 1)[0]
    return Placed(registry, operator.digest, images["llamacpp"].reference, images["gateway"].reference)


def values(cluster: str) -> list[Path]:
    return [VALUES] if cluster == "testbed" else []
