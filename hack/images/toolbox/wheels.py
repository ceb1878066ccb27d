"""Wheels of the toolbox image: the official openai client and what it needs, by our pins."""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from hack.cluster.paths import REPOSITORY, cache

PACKAGES = ("openai",)


def fetch() -> Path:
    """A build context with wheels/, downloaded once per set of pins."""
    pins = (REPOSITORY / "constraints.txt").read_bytes()
    context = cache() / "images" / f"toolbox-{hashlib.sha256(pins).hexdigest()[:12]}"
    if not (context / "wheels").exists():
        scratch = context.with_name(f".{context.name}")
        shutil.rmtree(scratch, ignore_errors=True)
        command = [
            sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check", "--only-binary=:all:",
            "--python-version", "3.11", "--implementation", "cp",
            *(f"--platform=manylinux{p}_x86_64" for p in ("_2_28", "_2_17", "2014")),
            "-c", str(REPOSITORY / "constraints.txt"), "-d", str(scratch / "wheels"), *PACKAGES,
        ]  # fmt: skip
        subprocess.run(command, check=True)
        scratch.rename(context)
    return context
