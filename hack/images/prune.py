"""What stays in the cache of built images: those used last, those a cluster has loaded, and the layers of both.

Every change of our sources makes another image, of some hundred megabytes. A file's access time is set whenever it is
used (its time of change is part of what an image is known by), and beside an archive stands which layers it is made of.
"""

import fcntl
import os
import re
import shutil
import time
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Final

KEPT: Final = 3
"""Archives of one name, whatever their age."""
LATELY: Final = 3600.0
"""Seconds: an archive used since may be on its way into a node."""
A_DAY: Final = 24 * 3600.0
"""Layers of no archive stay as long, for one that is just being made and for what is no image."""
_ARCHIVE: Final = re.compile(r"(.+)_[^_]+-[0-9a-f]{12}\.tar")
_LAYER: Final = re.compile(r"[0-9a-f]{24}")

LastUse = Mapping[str, float]
"""Seconds since the epoch, by the file's name."""


def superfluous(archives: LastUse, loaded: Collection[str], now: float) -> set[str]:
    """Archives to remove: neither among the last of their name, nor used lately, nor loaded by a cluster."""
    seen: dict[str, int] = {}
    found = set()
    for name in sorted(archives, key=lambda n: (-archives[n], n)):
        family = _ARCHIVE.fullmatch(name)
        if family is None:
            continue
        seen[family[1]] = seen.get(family[1], 0) + 1
        if seen[family[1]] > KEPT and archives[name] < now - LATELY and name not in loaded:
            found.add(name)
    return found


def orphans(layers: LastUse, needed: Collection[str], now: float) -> set[str]:
    """Layers, by their key, that no archive is made of and nobody used for a day."""
    return {key for key, used in layers.items() if key not in needed and used < now - A_DAY}


def mark_used(path: Path) -> None:
    """Its access time is now; everything else stays. Whatever is gone meanwhile is no error."""
    try:
        os.utime(path, ns=(time.time_ns(), path.stat().st_mtime_ns))
    except FileNotFoundError:
        return


def note_layers(archive: Path, tars: Iterable[Path]) -> None:
    """Beside the archive: what it is made of."""
    _list_of(archive).write_text("".join(f"{tar.stem}\n" for tar in tars))


def prune(images: Path, clusters: Path, now: float) -> list[Path]:
    """Remove what need not stay; the archives and layers that went. One at a time."""
    with (images / ".prune.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        archives = {path.name: path.stat().st_atime for path in images.glob("*.tar")}
        gone = [images / name for name in sorted(superfluous(archives, _loaded(clusters), now))]
        for archive in gone:
            archive.unlink()
            _list_of(archive).unlink(missing_ok=True)
        needed = {key for file in images.glob("*.layers") for key in file.read_text().split()}
        tars = {path.stem: path for path in (images / "layers").glob("*.tar") if _LAYER.fullmatch(path.stem)}
        for key in sorted(orphans({key: tar.stat().st_atime for key, tar in tars.items()}, needed, now)):
            tars[key].unlink()  # first: a tree without it is made anew
            shutil.rmtree(tars[key].with_suffix(""), ignore_errors=True)
            gone.append(tars[key])
        return gone


def _list_of(archive: Path) -> Path:
    return archive.with_suffix(".layers")


def _loaded(clusters: Path) -> set[str]:
    """Names of archives that nodes have imported, as they note them: NAME-SIZE-TIME."""
    return {mark.name.rsplit("-", 2)[0] for mark in clusters.glob("*/loaded/*")}
