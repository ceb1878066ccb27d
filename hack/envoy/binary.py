"""The pinned Envoy, one for images, tests and benchmarks (see hack/images/gateway/envoy.txt)."""

from hack.images.gateway.envoy import binary


def program() -> str:
    """Path of Envoy's binary, downloaded once (37 MB).

    Raises:
        ValueError: there is none for this machine.
        RuntimeError: the download failed or has another hash.
    """
    return str(binary())
