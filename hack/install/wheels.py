"""The wheels of our images: ours and every dependency, pinned by constraints.txt, for the image's Python."""

import fcntl
import hashlib
import os
import shutil
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from hack.install.steps import DIST, ROOT, InstallError, stream

CONTEXT = DIST / "operator-image"
"""Build context of operator/Containerfile; holds wheels/ and nothing else."""

EXTRAS = ("prometheus", "signing")
"""What the operator's image has beside the dependencies: the pod that looks at weights runs it, too."""

PACKAGE = "operator/smallmodel_operator"
"""What pyproject.toml has packed; a test compares them."""

PLATFORMS = ("manylinux_2_28", "manylinux_2_17", "manylinux2014")
ARCHITECTURES = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "aarch64", "arm64": "aarch64"}


def dependencies(*extras: str) -> list[str]:
    """What our package requires, and what these extras of it add."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return [*map(str, project["dependencies"]), *(str(d) for e in extras for d in project["optional-dependencies"][e])]


def fetch(python: str = "3.11", machine: str = "x86_64") -> Path:
    """Fills the operator's build context and returns it."""
    found = downloaded(python, machine, *EXTRAS)
    wheels = CONTEXT / "wheels"
    shutil.rmtree(CONTEXT, ignore_errors=True)
    (wheels / "dependencies").mkdir(parents=True)
    for wheel in sorted(found.glob("*.whl")):
        shutil.copyfile(wheel, wheels / "dependencies" / wheel.name)
    build_own(wheels / "own")
    return CONTEXT


def downloaded(python: str, machine: str, *extras: str) -> Path:
    """A folder with the wheels of all dependencies, filled when the pins, the Python or the machine changed."""
    architecture = _architecture(machine)
    pins = (ROOT / "constraints.txt").read_bytes() + "\n".join([*dependencies(*extras), python, architecture]).encode()
    stamp = DIST / "wheels" / f"{python}-{architecture}-{hashlib.sha256(pins).hexdigest()[:16]}"
    if not (stamp / "complete").exists():
        shutil.rmtree(stamp, ignore_errors=True)
        command = [
            *pip(), "download", "--progress-bar", "off", "-q", "--only-binary=:all:", "--implementation", "cp",
            "--python-version", python, *tags(machine), "-c", str(ROOT / "constraints.txt"), "-d", str(stamp),
            *dependencies(*extras),
        ]  # fmt: skip
        stream(command, what=f"wheels for Python {python} on {architecture}")
        (stamp / "complete").touch()
    return stamp


def build_own(folder: Path) -> None:
    """Our own wheel, the same bytes each time; built when something that goes into it changed, else the last one."""
    kept = DIST / "own"
    kept.mkdir(parents=True, exist_ok=True)
    with (kept / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        made = kept / own_key()
        if not made.exists():
            for old in (path for path in kept.iterdir() if path.is_dir()):  # of other sources, or interrupted
                shutil.rmtree(old)
            with tempfile.TemporaryDirectory(dir=kept) as scratch:
                _build_own(Path(scratch) / "wheel")
                if own_key() != made.name:
                    raise InstallError("The sources changed while our wheel was built; try again.")
                os.replace(Path(scratch) / "wheel", made)
        folder.mkdir(parents=True, exist_ok=True)
        for wheel in made.glob("*.whl"):
            shutil.copyfile(wheel, folder / wheel.name)


def _build_own(folder: Path) -> None:
    # The build backend is among our pins (extra dev): nothing is fetched for a build of our own code.
    command = [*pip(), "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(folder), str(ROOT)]
    stream(command, what="our wheel", env={"SOURCE_DATE_EPOCH": "1577836800"})


def own_key() -> str:
    """A hash of all that our wheel is made from: the sources, what describes them, and the build backend."""
    made = hashlib.sha256(f"{tools('pip', 'hatchling')}\n".encode())
    for path in own_inputs():
        made.update(f"{path.relative_to(ROOT)} {path.stat().st_mode:o} {path.stat().st_size}\n".encode())
        made.update(path.read_bytes())
    return made.hexdigest()[:16]


def own_inputs() -> Iterator[Path]:
    """The files: pyproject.toml names the package, the readme and the license; .gitignore says what is left out."""
    yield from (ROOT / name for name in ("pyproject.toml", "README.md", "LICENSE", ".gitignore"))
    for path in sorted((ROOT / PACKAGE).rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            yield path


def tools(*names: str) -> str:
    """Packages with their versions; one that is not there has none (its user says so)."""
    return " ".join(f"{name}=={_version(name)}" for name in names)


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def pip() -> list[str]:
    return [sys.executable, "-m", "pip", "--disable-pip-version-check"]


def tags(machine: str) -> list[str]:
    """pip's arguments that choose wheels for a machine."""
    architecture = _architecture(machine)
    return [part for name in PLATFORMS for part in ("--platform", f"{name}_{architecture}")]


def _architecture(machine: str) -> str:
    if machine not in ARCHITECTURES:
        raise InstallError(f"No wheels for machine {machine}; known: {', '.join(sorted(ARCHITECTURES))}.")
    return ARCHITECTURES[machine]
