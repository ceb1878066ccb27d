"""The wheels of our images: ours and every dependency, pinned by constraints.txt, for the image's Python."""

import hashlib
import shutil
import sys
import tomllib
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path

from hack.install.kept import KEY, kept
from hack.install.steps import DIST, ROOT, InstallError, stream

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
    """The build context of operator/Containerfile, which holds wheels/ and nothing else; what is there stays as it is.

    Raises:
        InstallError: something could not be downloaded or built.
    """
    found, ours = downloaded(python, machine, *EXTRAS), own()

    def fill(context: Path) -> None:
        for name, folder in (("dependencies", found), ("own", ours)):
            (context / "wheels" / name).mkdir(parents=True)
            for wheel in sorted(folder.glob("*.whl")):
                shutil.copyfile(wheel, context / "wheels" / name / wheel.name)

    key = hashlib.sha256(Path(__file__).read_bytes() + f"{found.name} {ours.name}".encode()).hexdigest()[:KEY]
    return kept(DIST / "operator-image", f"{python}-{machine}", key, fill)


def downloaded(python: str, machine: str, *extras: str) -> Path:
    """A folder with the wheels of all our dependencies."""
    return pinned("-".join(("ours", *extras)), dependencies(*extras), python, machine)


def pinned(name: str, packages: Sequence[str], python: str, machine: str) -> Path:
    """A folder with the wheels of packages and all they need; another one when the pins, Python or machine changed."""
    architecture = _architecture(machine)

    def fill(folder: Path) -> None:
        command = [
            *pip(), "download", "--progress-bar", "off", "-q", "--only-binary=:all:", "--implementation", "cp",
            "--python-version", python, *tags(machine), "-c", str(ROOT / "constraints.txt"), "-d", str(folder),
            *packages,
        ]  # fmt: skip
        stream(command, what=f"wheels ({name}) for Python {python} on {architecture}")

    pins = (ROOT / "constraints.txt").read_bytes() + "\n".join([*packages, python, architecture]).encode()
    key = hashlib.sha256(pins).hexdigest()[:KEY]
    return kept(DIST / "wheels", f"{name}-{python}-{architecture}", key, fill)


def own() -> Path:
    """A folder with our own wheel, the same bytes each time; another one when something that goes into it changed."""
    key = own_key()

    def fill(folder: Path) -> None:
        _build_own(folder)
        if own_key() != key:
            raise InstallError("The sources changed while our wheel was built; try again.")

    return kept(DIST / "own", "wheel", key, fill)


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
    return made.hexdigest()[:KEY]


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
