"""The build context of the gateway's image: Envoy, our package and what it needs, unpacked and pruned."""

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Sequence
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
        place(sorted(downloaded.glob("*.whl")), CONTEXT / "dependencies", python, machine, PRUNED)
        built = DIST / "gateway-own"
        shutil.rmtree(built, ignore_errors=True)
        wheels.build_own(built)
        place(list(built.glob("*.whl")), CONTEXT / "own", python, machine, ("bin",))
        (CONTEXT / "slm").write_text(SCRIPT)
        (CONTEXT / "slm").chmod(0o755)
    return CONTEXT


def place(files: Sequence[Path], target: Path, python: str, machine: str, pruned: Sequence[str]) -> None:
    """Puts wheels there, unpacked and pruned; unpacked once as long as they, and how it is done, stay the same.

    The caller holds the lock of the context: nobody else looks into the folder of what is kept.
    """
    kept = DIST / "unpacked"
    kept.mkdir(parents=True, exist_ok=True)
    family = f"{target.name}-{python}-{machine}-"
    made = kept / f"{family}{_key(files, pruned)}"
    if not made.exists():
        for old in (*kept.glob(f"{family}*"), *kept.glob(".*")):  # what changed since, and what was interrupted
            shutil.rmtree(old)
        with tempfile.TemporaryDirectory(dir=kept, prefix=".") as scratch:
            fresh = Path(scratch) / target.name
            unpack(files, fresh, python, machine)
            prune(fresh, pruned)
            os.replace(fresh, made)
    shutil.copytree(made, target, copy_function=_link)


def _link(source: str, target: str) -> None:
    """Made in a moment, and safe: whoever builds from the context reads it or copies it."""
    try:
        os.link(source, target)
    except OSError:  # a file system without links
        shutil.copy2(source, target)


def _key(files: Sequence[Path], pruned: Sequence[str]) -> str:
    """A hash of the wheels and of the recipe: this file, what is pruned, and pip."""
    made = hashlib.sha256(Path(__file__).read_bytes() + f"{pruned}{wheels.tools('pip')}\n".encode())
    for file in files:
        made.update(f"{file.name} {file.stat().st_size}\n".encode() + file.read_bytes())
    return made.hexdigest()[:16]


def unpack(files: Sequence[Path], target: Path, python: str, machine: str) -> None:
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


def prune(folder: Path, patterns: Sequence[str]) -> None:
    for pattern in patterns:
        for path in sorted(folder.glob(pattern)):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
