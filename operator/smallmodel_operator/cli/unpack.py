"""The weights' files of an image's layer into a folder. Nothing else of it: no links, no devices, no pickles, no code.

The layer was checked against its digest before; whoever pushed it may still mean harm. So names that lead out are
refused, sizes and counts are bounded, and nothing that is written here is a link that a later name could follow.
"""

import gzip
import os
import posixpath
import shutil
import sys
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

from smallmodel_operator.cli.request import Trouble
from smallmodel_operator.cli.transfer import CHUNK, KEEP_FREE, MAX_BYTES
from smallmodel_operator.core.units import human
from smallmodel_operator.weights import download, image
from smallmodel_operator.weights.refusal import invalid

GZIP: Final = b"\x1f\x8b"
ZSTD: Final = b"\x28\xb5\x2f\xfd"
WINDOW_LOG: Final = 27
"""128 MiB, the most that `zstd` asks for without being told to; the pod has twice that."""
MAX_FILES: Final = 10_000
MAX_MEMBERS: Final = 1_000_000
MAX_EXTENSION: Final = 2**20
"""Bytes of a header that says more of the next one: long names, times."""
WHITEOUT: Final = ".wh."
OPAQUE: Final = ".wh..wh..opq"
_EXTENSIONS: Final = (
    tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK,
)  # fmt: skip


class _Member(tarfile.TarInfo):
    """An entry whose extensions are bounded: the library reads them into memory whole."""

    def _proc_member(self, archive: tarfile.TarFile) -> Any:
        if self.type in _EXTENSIONS and self.size > MAX_EXTENSION:
            raise tarfile.ReadError("an extended header is too large")
        return super()._proc_member(archive)  # type: ignore[misc]


class _Bounded:
    """What is unpacked of a layer, up to a limit: few bytes may stand for very many."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream, self._read = stream, 0

    def read(self, count: int, /) -> bytes:
        block = self._stream.read(count)
        self._read += len(block)
        if self._read > MAX_BYTES:
            raise invalid(f"A layer of the image is larger than {human(MAX_BYTES)} when it is unpacked; it is refused.")
        return block


class Unpacking:
    """Layers, one after the other, into the folder `root`. `pickle`: the first there was, which was left out."""

    def __init__(self, root: Path, pickle: str = "") -> None:
        self._root, self.pickle = root, pickle

    def unpack(self, layer: Path) -> None:
        """Add, replace and remove what this layer does. A layer that was begun before may be unpacked again.

        Raises:
            BadWeights: it is no archive, or a hostile one.
            Trouble: the claim has no room for it.
            OSError: the claim cannot be written.
        """
        mine: set[str] = set()
        with layer.open("rb") as stream, _archive(stream) as archive:
            for count, member in enumerate(archive):
                archive.members = []  # type: ignore[attr-defined]  # the library would keep all of them
                if count >= MAX_MEMBERS or len(mine) >= MAX_FILES:
                    raise invalid("A layer of the image holds too many files; it is refused.")
                self._take(archive, member, mine)

    def place(self, blob: Path, path: str) -> None:
        """A layer that is a file itself."""
        blob.chmod(0o644)
        blob.rename(self._home(path))

    def _take(self, archive: tarfile.TarFile, member: tarfile.TarInfo, mine: set[str]) -> None:
        base = posixpath.basename(member.name.rstrip("/"))
        if base.startswith(WHITEOUT):
            folder, name = image.inside(posixpath.dirname(member.name) or "."), base.removeprefix(WHITEOUT)
            if name in ("", ".", ".."):
                raise invalid(f"`{member.name[-120:]}` in the image removes no name. Build and push it again.")
            self._remove(folder if base == OPAQUE else image.inside(f"{folder}/{name}"), mine)
            return
        if image.unsafe(base) and member.isreg():
            self.pickle = self.pickle or member.name
        if member.isdir() or not image.wanted(base):
            return
        if not member.isreg():
            if base.lower().endswith(image.MODELS):
                raise invalid(f"`{member.name[-120:]}` in the image is a link or no file. Pack the file itself.")
            return
        path = image.inside(member.name)
        self._write(archive, member, self._home(path))
        mine.add(path)

    def _home(self, path: str) -> Path:
        """Where a file goes. What an earlier layer has in its place gives way."""
        target, folder = self._root / path, self._root
        for part in Path(path).parts[:-1]:
            folder = folder / part
            if folder.is_file():
                folder.unlink()
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.is_dir():
            shutil.rmtree(target)
        return target

    def _write(self, archive: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> None:
        free = shutil.disk_usage(self._root).free
        if member.size > free - KEEP_FREE:
            raise Trouble(download.no_room(member.size, free, KEEP_FREE))
        source, left = archive.extractfile(member), member.size
        with target.open("wb") as out:
            while source is not None and (block := source.read(min(CHUNK, left))):
                out.write(block)
                left -= len(block)
            out.flush()
            os.fsync(out.fileno())
        if left:
            raise invalid(f"`{member.name[-120:]}` in the image is cut short. Build and push it again.")
        target.chmod(0o644)

    def _remove(self, path: str, mine: set[str]) -> None:
        """What earlier layers have there; what this one brought stays."""
        target = self._root / path
        if target.is_file() and path not in mine:
            target.unlink()
        for file in sorted(target.rglob("*")) if target.is_dir() else ():
            if file.is_file() and file.relative_to(self._root).as_posix() not in mine:
                file.unlink()


@contextmanager
def _archive(stream: IO[bytes]) -> Iterator[tarfile.TarFile]:
    """The archive in a layer. What it is compressed with is told by its first bytes.

    Raises:
        BadWeights: it cannot be read.
    """
    damaged: tuple[type[Exception], ...] = (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError)
    begun = stream.read(4)
    stream.seek(0)
    plain: Any = stream
    if begun.startswith(GZIP):
        plain = gzip.GzipFile(fileobj=stream)
    elif begun == ZSTD:
        zstd = _zstd()
        plain = zstd.ZstdFile(stream, options={zstd.DecompressionParameter.window_log_max: WINDOW_LOG})
        damaged = (*damaged, zstd.ZstdError)
    try:
        # A stream: nothing is sought, so nothing is read twice.
        with tarfile.open(fileobj=_Bounded(plain), mode="r|", tarinfo=_Member) as archive:  # type: ignore[call-overload]
            yield archive
    except damaged as error:
        raise invalid(f"A layer of the image cannot be unpacked: {error}. Build and push it again.") from error


def _zstd() -> Any:
    """Of the standard library where it has it."""
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    return zstd
