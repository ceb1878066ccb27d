"""The build context of the analyzer's image: the wheels by our pins, and its program."""

import hashlib
import shutil
from pathlib import Path

from hack.install import wheels
from hack.install.kept import KEY, kept
from hack.install.steps import DIST

PACKAGES = ("presidio-analyzer", "aiohttp")
PROGRAM = Path(__file__).parent / "analyzer.py"


def make(python: str = "3.11", machine: str = "x86_64") -> Path:
    """A folder that stays as it is, made anew when something that goes into it changed.

    Raises:
        InstallError: something could not be downloaded.
    """
    downloaded = wheels.pinned("analyzer", PACKAGES, python, machine)

    def fill(context: Path) -> None:
        (context / "wheels").mkdir(parents=True)
        for wheel in sorted(downloaded.glob("*.whl")):
            shutil.copyfile(wheel, context / "wheels" / wheel.name)
        shutil.copyfile(PROGRAM, context / PROGRAM.name)

    recipe = downloaded.name.encode() + PROGRAM.read_bytes() + Path(__file__).read_bytes()
    key = hashlib.sha256(recipe).hexdigest()[:KEY]
    return kept(DIST / "analyzer-image", f"{python}-{machine}", key, fill)
