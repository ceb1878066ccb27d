"""Configuration files for Envoy: each replaced whole, at once, and only when its content differs.

A reader sees the old file or the new one. Nothing is synced to a disk: the folder is memory and lives as long as
the pod.
"""

import json
import logging
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

CDS, RDS, LDS = "xds/cds.json", "xds/rds.json", "xds/lds.json"
EDS: Final = "xds/eds/"
BOOTSTRAP: Final = "bootstrap.json"
_MARK: Final = ".new"

logger = logging.getLogger(__name__)


def dump(value: Any) -> bytes:
    """Deterministic JSON: equal values give equal bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def replace(path: Path, content: bytes) -> None:
    """Replace a file at once: who reads sees the old content or the new.

    Raises:
        OSError: the folder is full or not writable; the old file is untouched.
    """
    temporary = path.with_name(f".{path.name}{_MARK}")
    temporary.write_bytes(content)
    os.replace(temporary, path)


def replace_durably(path: Path, content: bytes) -> None:
    """The same on a disk: when it returns, the new content is there after a loss of power, too; before, the old or the
    new, never a part of one.

    Raises:
        OSError: the disk is full or not writable; the old file is untouched.
    """
    temporary = path.with_name(f".{path.name}{_MARK}")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fdatasync(file.fileno())
    os.replace(temporary, path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Have on the disk which files there are.

    Raises:
        OSError: it is not.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_fully(descriptor: int, data: bytes) -> None:
    """All of it, however little one write takes.

    Raises:
        OSError: the disk takes no more; a part of it may be there.
    """
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def in_order(names: Iterable[str]) -> list[str]:
    """Whatever is referred to comes before what refers to it: endpoints, clusters, routes, certificates, listeners."""
    rank = {CDS: 1, RDS: 2, LDS: 4}
    return sorted(names, key=lambda name: (0 if name.startswith(EDS) else rank.get(name, 3), name))


class Files:
    """The files below one folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._content: dict[str, bytes] = {}
        for folder in (root, root / EDS):
            folder.mkdir(parents=True, exist_ok=True)
        for left in (*root.rglob(f".*{_MARK}"),):  # of a process that was killed while it wrote
            left.unlink(missing_ok=True)

    def read(self, name: str) -> Any:
        """The JSON value in a file; None when there is none or it is no JSON."""
        try:
            return json.loads((self.root / name).read_bytes())
        except (OSError, ValueError):
            return None

    def exists(self, name: str) -> bool:
        return (self.root / name).exists()

    def endpoints(self) -> list[str]:
        """Names of the endpoint files there are."""
        return sorted(f"{EDS}{p.name}" for p in (self.root / EDS).glob("*.json"))

    def configuration(self) -> dict[str, Any]:
        """All that Envoy reads, as it lies there now: JSON values by name."""
        found = (p for p in (self.root / EDS).parent.rglob("*.json") if not p.name.startswith("."))
        names = [BOOTSTRAP, *sorted(str(p.relative_to(self.root)) for p in found)]
        return {name: self.read(name) for name in names}

    def write(self, name: str, content: bytes, mode: int = 0o600) -> bool:
        """Replace one file unless it has this content already; True when it was written.

        Raises:
            OSError: the folder is full or not writable; the old file is untouched.
        """
        path = self.root / name
        if self._content.get(name) is None and path.exists():
            self._content[name] = path.read_bytes()
        if self._content.get(name) == content:
            return False
        temporary = path.with_name(f".{path.name}{_MARK}")
        try:
            temporary.touch(mode)
            temporary.write_bytes(content)
            os.replace(temporary, path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
        self._content[name] = content
        return True

    def write_all(self, contents: Mapping[str, bytes]) -> list[str]:
        """Write what differs, in an order that never leaves a reference to nothing; the names written.

        Endpoint files that are not among `contents` are removed when those that referred to them are replaced.
        """
        written = [name for name in in_order(contents) if self.write(name, contents[name])]
        for name in self.endpoints():
            if name not in contents:
                (self.root / name).unlink(missing_ok=True)
                self._content.pop(name, None)
        return written
