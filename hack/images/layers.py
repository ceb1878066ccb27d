"""Run COPY and RUN steps in overlays and keep each as a layer, cached by what it was made from (root only)."""

import glob
import hashlib
import os
import shutil
import stat
import subprocess
import tarfile
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hack.cluster.paths import cache
from hack.images.prune import mark_used


@dataclass(frozen=True, slots=True)
class Layer:
    """An unpacked layer and its tar."""

    key: str
    tree: Path
    tar: Path


def folder() -> Path:
    made = cache() / "images" / "layers"
    made.mkdir(parents=True, exist_ok=True)
    return made


def of_tree(key: str, tree: Path) -> Layer:
    """A layer of a whole tree, packed once."""
    tar = tree.with_suffix(".tar")
    if not tar.exists():
        _pack(tree, tar)
    return Layer(key, tree, tar)


def step(word: str, rest: str, context: Path, below: Sequence[Layer]) -> Layer:
    """The layer one step adds."""
    key = _key(word, rest, context, below)
    tree = folder() / key
    mark_used(folder() / f"{key}.tar")  # before it is looked for: so it is not removed in between
    if not (folder() / f"{key}.tar").exists():
        shutil.rmtree(tree, ignore_errors=True)
        with tempfile.TemporaryDirectory(dir=folder(), prefix=".work-") as scratch:
            upper = Path(scratch) / "upper"
            upper.mkdir()
            if word == "COPY":
                _copy(rest, context, upper)
            else:
                _run(rest, Path(scratch), upper, below)
            upper.rename(tree)
        _pack(tree, folder() / f"{key}.tar")
    return Layer(key, tree, folder() / f"{key}.tar")


def _key(word: str, rest: str, context: Path, below: Sequence[Layer]) -> str:
    parts = [word, rest, *(layer.key for layer in below)]
    if word == "COPY":
        for source in rest.split()[:-1]:
            for path in _sources(source, context):
                files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
                parts += [f"{f.relative_to(context)} {_content_key(f)}" for f in files]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:24]


def _content_key(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _sources(pattern: str, context: Path) -> list[Path]:
    found = [Path(p) for p in sorted(glob.glob(str(context / pattern)))]
    if not found:
        raise FileNotFoundError(f"COPY {pattern}: nothing of that name in {context}")
    return found


def _copy(rest: str, context: Path, upper: Path) -> None:
    *patterns, target = rest.split()
    goal = upper / target.lstrip("/")
    for path in (p for pattern in patterns for p in _sources(pattern, context)):
        if path.is_dir():
            shutil.copytree(path, goal, dirs_exist_ok=True)
        else:
            into = goal / path.name if target.endswith("/") or len(patterns) > 1 else goal
            into.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, into)


def _run(command: str, scratch: Path, upper: Path, below: Sequence[Layer]) -> None:
    root, work = scratch / "root", scratch / "work"
    root.mkdir()
    work.mkdir()
    lower = ":".join(str(layer.tree) for layer in reversed(below))
    options = f"lowerdir={lower},upperdir={upper},workdir={work}"
    subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, str(root)], check=True)
    subprocess.run(["mount", "--bind", "/dev", f"{root}/dev"], check=True)
    try:
        done = subprocess.run(
            ["chroot", str(root), "/bin/sh", "-ec", command], capture_output=True, text=True,
            env={"LANG": "C.UTF-8", "HOME": "/root", "PATH": "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
        )  # fmt: skip
    finally:
        subprocess.run(["umount", "-l", f"{root}/dev"], check=True)
        subprocess.run(["umount", "-l", str(root)], check=True)
    if done.returncode:
        raise RuntimeError(f"RUN {command}\nfailed:\n{(done.stdout + done.stderr)[-3000:]}")


def _pack(tree: Path, target: Path) -> None:
    """tar of an overlay's upper folder: what it removed becomes a whiteout."""
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    with tarfile.open(temporary, "w", format=tarfile.GNU_FORMAT) as tar:
        for path in sorted(tree.rglob("*")):
            name = str(path.relative_to(tree))
            state = path.lstat()
            if stat.S_ISCHR(state.st_mode) and state.st_rdev == 0:
                info = tarfile.TarInfo(str(Path(name).with_name(f".wh.{path.name}")))
                tar.addfile(info)
            elif not stat.S_ISSOCK(state.st_mode):
                tar.add(path, arcname=name, recursive=False)
    temporary.replace(target)
