"""The wheels of the operator's image: ours and every dependency, pinned by constraints.txt, for the image's Python."""

import hashlib
import shutil
import sys
import tomllib
from pathlib import Path

from hack.install.steps import DIST, ROOT, InstallError, stream

CONTEXT = DIST / "operator-image"
"""Build context of operator/Containerfile; holds wheels/ and nothing else."""

PLATFORMS = ("manylinux_2_28", "manylinux_2_17", "manylinux2014")
ARCHITECTURES = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "aarch64", "arm64": "aarch64"}


def dependencies() -> list[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return [str(name) for name in project["dependencies"]]


def fetch(python: str = "3.11", machine: str = "x86_64") -> Path:
    """Fills the build context and returns it. Downloads only when the pins, the Python or the machine changed."""
    if machine not in ARCHITECTURES:
        raise InstallError(f"No wheels for machine {machine}; known: {', '.join(sorted(ARCHITECTURES))}.")
    architecture = ARCHITECTURES[machine]
    pins = (ROOT / "constraints.txt").read_bytes() + "\n".join([*dependencies(), python, architecture]).encode()
    stamp = DIST / "wheels" / f"{python}-{architecture}-{hashlib.sha256(pins).hexdigest()[:16]}"
    if not (stamp / "complete").exists():
        shutil.rmtree(stamp, ignore_errors=True)
        stream(download(stamp, python, architecture), what=f"wheels for Python {python} on {architecture}")
        (stamp / "complete").touch()
    wheels = CONTEXT / "wheels"
    shutil.rmtree(CONTEXT, ignore_errors=True)
    (wheels / "dependencies").mkdir(parents=True)
    for wheel in sorted(stamp.glob("*.whl")):
        shutil.copyfile(wheel, wheels / "dependencies" / wheel.name)
    # The build backend is among our pins (extra dev): nothing is fetched for a build of our own code.
    own = [*pip(), "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(wheels / "own"), str(ROOT)]
    stream(own, what="our wheel", env={"SOURCE_DATE_EPOCH": "1577836800"})
    return CONTEXT


def pip() -> list[str]:
    return [sys.executable, "-m", "pip", "--disable-pip-version-check"]


def download(folder: Path, python: str, architecture: str) -> list[str]:
    tags = [part for name in PLATFORMS for part in ("--platform", f"{name}_{architecture}")]
    return [
        *pip(), "download", "--progress-bar", "off", "-q", "--only-binary=:all:", "--implementation", "cp",
        "--python-version", python, *tags, "-c", str(ROOT / "constraints.txt"), "-d", str(folder), *dependencies(),
    ]  # fmt: skip
