"""The build context of the gateway's image: Envoy, our package and what it needs, unpacked and pruned."""

import hashlib
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from hack.images.gateway import bodies, envoy
from hack.install import wheels
from hack.install.kept import KEY, kept
from hack.install.steps import DIST, InstallError, stream

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
    """The context: a folder that stays as it is, made anew when something that goes into it changed.

    Raises:
        InstallError: something could not be downloaded or unpacked.
    """
    try:
        program, library = envoy.binary(machine), bodies.library(machine)
    except (ValueError, RuntimeError) as error:
        raise InstallError(str(error)) from None
    dependencies = unpacked("dependencies", wheels.downloaded(python, machine, "gateway"), python, machine, PRUNED)
    own = unpacked("own", wheels.own(), python, machine, ("bin",))

    def fill(folder: Path) -> None:
        folder.mkdir()
        shutil.copy2(program, folder / "envoy")
        shutil.copy2(library, folder / "bodies.so")
        for tree in (dependencies, own):
            shutil.copytree(tree, folder / tree.name.split("-")[0], copy_function=_link)
        (folder / "slm").write_text(SCRIPT)
        (folder / "slm").chmod(0o755)

    recipe = f"{_digest(Path(__file__))} {_digest(program)} {_digest(library)} {dependencies.name} {own.name}"
    return kept(DIST / "gateway-image", f"{python}-{machine}", _key(recipe), fill)


def unpacked(name: str, folder: Path, python: str, machine: str, pruned: Sequence[str]) -> Path:
    """The wheels of a folder, unpacked and pruned, as NAME-KEY; another folder when they, or the how, change."""
    files = sorted(folder.glob("*.whl"))

    def fill(tree: Path) -> None:
        unpack(files, tree, python, machine)
        prune(tree, pruned)

    recipe = " ".join([_digest(Path(__file__)), str(pruned), wheels.tools("pip"), *map(_digest, files)])
    return kept(DIST / "unpacked", f"{name}-{python}-{machine}", _key(recipe), fill)


def _link(source: str, target: str) -> None:
    """Made in a moment, and safe: whoever builds from the context reads it or copies it."""
    try:
        os.link(source, target)
    except OSError:  # a file system without links
        shutil.copy2(source, target)


def _digest(file: Path) -> str:
    """Of a file's name and bytes."""
    with file.open("rb") as opened:
        return f"{file.name}:{hashlib.file_digest(opened, 'sha256').hexdigest()}"


def _key(recipe: str) -> str:
    return hashlib.sha256(recipe.encode()).hexdigest()[:KEY]


def unpack(files: Sequence[Path], target: Path, python: str, machine: str) -> None:
    """Wheels as pip unpacks them, for another Python or machine than this one too."""
    command = [
        *wheels.pip(), "install", "-q", "--no-index", "--no-deps", "--no-compile", "--only-binary=:all:",
        "--implementation", "cp", "--python-version", python, *wheels.tags(machine), "--target", str(target),
        "--root-user-action=ignore", *map(str, files),
    ]  # fmt: skip
    stream(command, what="wheels unpacked")
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
