"""The official openai client for JavaScript, as its registry has it. It depends on no other package."""

import shutil
import subprocess
import tarfile
from pathlib import Path

from hack.cluster.paths import cache

VERSION = "7.55.0"


def fetch() -> Path:
    """A build context with openai/, downloaded once per version by npm itself."""
    context = cache() / "images" / f"clients-openai-{VERSION}"
    if not (context / "openai").exists():
        scratch = context.with_name(f".{context.name}")
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
        command = ["npm", "pack", "--silent", f"--pack-destination={scratch}", f"openai@{VERSION}"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        [archive] = scratch.glob("*.tgz")
        with tarfile.open(archive) as tar:
            tar.extractall(scratch, [m for m in tar.getmembers() if _needed(m.name)], filter="data")
        archive.unlink()
        (scratch / "package").rename(scratch / "openai")
        scratch.rename(context)
    return context


def _needed(name: str) -> bool:
    """What runs: no types, no source maps, no TypeScript."""
    return name.endswith((".mjs", ".js", "package.json"))
