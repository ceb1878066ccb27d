"""The test bed as a target: its programs, its network namespace, its images."""

from pathlib import Path

from hack.install.steps import Access, InstallError


def helm() -> str:
    """The pinned Helm, built if need be."""
    from hack.cluster.binaries import BuildFailed, program

    try:
        return program("helm")
    except BuildFailed as error:
        raise InstallError(
            f"helm is not on the PATH, and building it failed. Install Helm 3.14 or later.\n{error}"
        ) from None


def access() -> Access:
    raise InstallError("not yet")


def place() -> object:
    raise InstallError("not yet")


def values(cluster: str) -> list[Path]:
    return []
