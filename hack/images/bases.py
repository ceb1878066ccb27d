"""Root file systems from Debian packages: what `FROM` means where no registry can be reached."""

import fcntl
import hashlib
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from hack.images import layers

EXCLUDE = ("/usr/share/man/*", "/usr/share/locale/*", "/usr/share/doc/*", "/var/lib/apt/lists/*", "/var/cache/*")


@dataclass(frozen=True, slots=True)
class Base:
    """A Debian suite and the packages on top of its smallest variant.

    `include`: files of them that would be left out.
    """

    suite: str
    packages: tuple[str, ...]
    include: tuple[str, ...] = field(default=(), repr=False)


PYTHON = Base("bookworm", ("python3-minimal", "python3-venv", "python3-pip", "ca-certificates"))
ENGINE = Base("forky", ("llama.cpp-tools",))
QUANTIZER = Base("forky", ("llama.cpp-tools", "llama.cpp-tools-extra"))
CONVERTER = Base(
    "forky",
    (
        *QUANTIZER.packages, "python3-gguf", "python3-safetensors", "python3-sentencepiece", "python3-torch",
        "python3-transformers",
    ),
    include=("/usr/share/doc/llama.cpp-tools/*",),
)  # fmt: skip
TRAINING = Base("forky", ("python3-torch", "python3-transformers", "python3-sentencepiece", "libopenblas0-pthread"))
"""For no image: a model for the tests is trained in it. Without OpenBLAS that takes minutes (reference BLAS)."""
NODE = Base("forky", ("nodejs", "curl"))
STATIC = Base("bookworm", ("busybox-static",))
BROWSER = Base("bookworm", ("chromium", "fonts-liberation2", "poppler-utils"))
"""For no image: pages are looked at in it, with the same fonts everywhere."""


def layer(base: Base) -> layers.Layer:
    """The base as one layer, made once by mmdebstrap."""
    made = tree(base)
    with _locked(made):
        return layers.of_tree(made.name, made)


def tree(base: Base) -> Path:
    """The base's folder, made once."""
    made = layers.folder() / f"base-{hashlib.sha256(f'{base}{EXCLUDE}{_named(base)}'.encode()).hexdigest()[:24]}"
    with _locked(made):
        if not made.exists():
            _make(base, made)
    return made


@contextmanager
def _locked(made: Path) -> Iterator[None]:
    with made.with_name(f".{made.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _named(base: Base) -> str:
    """Nothing for a base without such files, so that what was made before there were any stays."""
    return str(base.include) if base.include else ""


def _make(base: Base, tree: Path) -> None:
    scratch = tree.with_name(f".{tree.name}")
    shutil.rmtree(scratch, ignore_errors=True)
    started = time.monotonic()
    print(f"making a Debian {base.suite} root with {', '.join(base.packages)} ...", file=sys.stderr, flush=True)
    command = [
        "mmdebstrap", "--quiet", "--mode=root", "--variant=minbase", f"--include={','.join(base.packages)}",
        "--aptopt=Acquire::Check-Valid-Until \"false\"", "--aptopt=APT::Install-Recommends \"false\"",
        *(f"--dpkgopt=path-exclude={path}" for path in EXCLUDE),
        *(f"--dpkgopt=path-include={path}" for path in base.include), base.suite, str(scratch), *_mirror(base.suite),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        shutil.rmtree(scratch, ignore_errors=True)
        raise RuntimeError(f"mmdebstrap {base.suite} failed:\n{done.stderr[-2000:]}")
    for leftover in ("var/cache/apt", "var/lib/apt/lists", "dev"):
        shutil.rmtree(scratch / leftover, ignore_errors=True)
    (scratch / "dev").mkdir()
    scratch.rename(tree)
    print(f"Debian {base.suite} root: {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)


def _mirror(suite: str) -> Sequence[str]:
    """The mirror this machine's own apt uses, whatever it is; none: mmdebstrap's default."""
    for file in (*Path("/etc/apt/sources.list.d").glob("*.sources"), Path("/etc/apt/sources.list")):
        if not file.exists():
            continue
        for line in file.read_text().splitlines():
            words = line.split()
            if line.startswith("URIs:") and "debian" in words[1] and "security" not in words[1]:
                return (words[1],)
            if line.startswith("deb ") and "debian" in line and "security" not in line:
                return (next(w for w in words if "://" in w),)
    return ()
