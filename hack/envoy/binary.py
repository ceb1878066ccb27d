"""The pinned Envoy and its filter, the same for images, tests and benchmarks (see hack/images/gateway)."""

from pathlib import Path

from hack.images.gateway.bodies import library
from hack.images.gateway.envoy import binary


def program() -> str:
    """Path of Envoy's binary, downloaded once (37 MB).

    Raises:
        ValueError: there is none for this machine.
        RuntimeError: the download failed or has another hash.
    """
    return str(binary())


def bodies() -> Path:
    """The filter it loads, compiled once.

    Raises:
        ValueError: there is none for this machine.
        RuntimeError: it could not be compiled.
    """
    return library()
