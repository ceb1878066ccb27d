"""The build context of the gateway's image: Envoy, our package and what it needs, unpacked and pruned."""

import fcntl
import shutil
from pathlib import Path

from hack.images.gateway import bodies, envoy
from hack.install import wheels
from hack.install.steps import DIST, InstallError, stream

CONTEXT = DIST / "gateway-image"
PRUNED = (
    # Generated classes for every API of Kubernetes, 120 MB with their bytecode: our client sends and reads plain dicts.
    "kubernetes/client/models/v*.py",
    "kubernetes/client/api/*_api.py",
    "kubernetes/aio/client/models/v*.py",
    "kubernetes/aio/client/api/*_api.py",
    "**/*.pyi",
    "**/*.pyx",
    "**/*.pxd",
    "**/tests",
    "bin",
)
"""Below the dependencies. The build ends with an import of the agent, so that too much cannot be pruned unseen."""
SCRIPT = '#!/bin/sh\nexec python3 -m smallmodel_operator "$@"\n'


def make(python: str = "3.11", machine: str = "x86_64") -> Path:
    """Fills the context and returns it.

    Raises:
        InstallError: something could not be downloaded or unpacked.
    """
    DIST.mkdir(exist_ok=True)
    with (DIST / ".gateway-image.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            program, library = envoy.binary(machine), bodies.library(machine)
        except (ValueError, RuntimeError) as error:
            raise InstallError(str(error)) from None
        downloaded = wheels.downloaded(python, machine, "gateway")
        shutil.rmtree(CONTEXT, ignore_errors=True)
        CONTEXT.mkdir()
        shutil.copy2(program, CONTEXT / "envoy")
        shutil.copy2(library, CONTEXT / "bodies.so")
        unpack(sorted(downloaded.glob("*.whl")), CONTEXT / "dependencies", python, machine)
        prune(CONTEXT / "dependencies")
        built = DIST / "gateway-own"
        shutil.rmtree(built, ignore_errors=True)
        wheels.build_own(built)
        unpack(list(built.glob("*.whl")), CONTEXT / "own", python, machine)
        shutil.rmtree(CONTEXT / "own" / "bin", ignore_errors=True)
        (CONTEXT / "slm").write_text(SCRIPT)
        (CONTEXT / "slm").chmod(0o755)
    return CONTEXT


def unpack(files: list[Path], target: Path, python: str, machine: str) -> None:
    """Wheels as pip unpacks them, for another Python or machine than this one too."""
    command = [
        *wheels.pip(), "install", "-q", "--no-index", "--no-deps", "--no-compile", "--only-binary=:all:",
        "--implementation", "cp", "--python-version", python, *wheels.tags(machine), "--target", str(target),
        "--root-user-action=ignore", *map(str, files),
    ]  # fmt: skip
    stream(command, what=f"{target.name} unpacked")
    for record in target.glob("*.dist-info/RECORD"):
        record.unlink()  # names this machine's folders, and what was pruned
    for direct in target.glob("*.dist-info/direct_url.json"):
        direct.unlink()


def prune(folder: Path) -> None:
    for pattern in PRUNED:
        for path in sorted(folder.glob(pattern)):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
