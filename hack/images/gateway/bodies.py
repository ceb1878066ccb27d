"""The bodies' filter, compiled from operator/bodies for any machine; one file for each in the cache folder."""

import fcntl
import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from hack.cluster.paths import REPOSITORY, cache
from hack.images.gateway.pinned import architecture, wheel

SOURCES = REPOSITORY / "operator" / "bodies"
PINS = REPOSITORY / "hack" / "images" / "gateway" / "zig.txt"
GLIBC = "2.31"
"""The oldest the image may have, as Envoy's own."""
BODIES, READER = "bodies.so", "reader.so"
_BOTH = ("-std=c11", "-shared", "-fPIC", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror")
MADE = {
    BODIES: (("json.c", "usage.c", "filter.c"), (*_BOTH, "-O2", "-g0", "-s")),
    READER: (("json.c", "usage.c"), (*_BOTH, "-O1", "-fsanitize=undefined", "-fsanitize-trap=undefined")),
}
"""Sources and flags of each file. In the reader what C leaves undefined ends the process."""


def library(machine: str = "") -> Path:
    """The filter for a machine (default: this one), compiled once.

    Raises:
        ValueError: there is no Envoy for such a machine.
        RuntimeError: the compiler could not be downloaded, or refused the sources; says what it said.
    """
    target = f"{architecture(machine)}-linux-gnu.{GLIBC}"
    parts = [f.name.encode() + b"\0" + f.read_bytes() for f in (PINS, Path(__file__), *sorted(SOURCES.glob("*.[ch]")))]
    key = hashlib.sha256(b"\0".join([*parts, target.encode()])).hexdigest()[:12]
    folder = cache() / "bin" / f"bodies-{key}"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if any(not (folder / name).exists() for name in MADE):
            _compile(target, folder)
    return folder / BODIES


def reader() -> Path:
    """Only what reads texts, with checks, for tests in this process. Raises as `library` does."""
    return library().with_name(READER)


def _compile(target: str, folder: Path) -> None:
    print("compiling the bodies' filter; its compiler is downloaded for it (100 MB) ...", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        with zipfile.ZipFile(wheel(PINS, scratch, "the compiler of the bodies' filter")) as packed:
            packed.extractall(scratch)
        zig = Path(scratch) / "ziglang" / "zig"
        zig.chmod(0o755)
        for name, (sources, flags) in MADE.items():
            made = Path(scratch) / name
            # Names relative to the sources: no path of this machine is in the file.
            words = [str(zig), "cc", "-target", target, *flags, *sources, "-o", str(made)]
            caches = {f"ZIG_{kind}_CACHE_DIR": scratch for kind in ("LOCAL", "GLOBAL")}
            done = subprocess.run(words, capture_output=True, text=True, cwd=SOURCES, env={**os.environ, **caches})
            if done.returncode:
                raise RuntimeError(f"the bodies' filter does not compile:\n{(done.stdout + done.stderr)[-2000:]}")
            os.replace(made, folder / name)
