"""Little-endian values from a stream whose size is known; never past its end, never more than a header may have."""

import hashlib
import struct
from typing import Any, Final, Protocol

from smallmodel_operator.weights.foreign import AGAIN
from smallmodel_operator.weights.refusal import BadWeights, invalid

CHUNK: Final = 2**20
MAX_HEADER: Final = 256 * 2**20
"""Bytes of a header; the largest vocabularies take 20 MiB."""


class Readable(Protocol):
    """What is needed of a stream."""

    def read(self, count: int, /) -> bytes: ...


class HeaderReader:
    """Reads little-endian values and counts; refuses to pass the end of the file."""

    def __init__(self, stream: Readable, file_bytes: int) -> None:
        self._stream = stream
        self._size = file_bytes
        self.position = 0

    @property
    def left(self) -> int:
        return self._size - self.position

    def peek(self, count: int) -> bytes:
        """The next bytes, fewer at the end; they stay to be read."""
        begun = self._read(min(count, self.left))
        self._stream = _Prefixed(begun, self._stream)
        return begun

    def take(self, count: int) -> bytes:
        if count > self.left:
            raise self.short()
        if self.position + count > MAX_HEADER:
            raise invalid(
                f"The GGUF header is damaged: it goes on for more than {MAX_HEADER // 2**20} MiB, which no model's "
                f"does. {AGAIN}"
            )
        taken = self._read(count)
        self.position += count
        return taken

    def _read(self, count: int) -> bytes:
        parts = []
        missing = count
        while missing:
            part = self._stream.read(min(missing, CHUNK))
            if not part:
                raise self.short()
            parts.append(part)
            missing -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def skip(self, count: int) -> None:
        if count > self.left:
            raise self.short()
        while count:
            step = min(count, CHUNK)
            self.take(step)
            count -= step

    def value(self, form: str) -> Any:
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def u32(self) -> int:
        return int(self.value("<I"))

    def u64(self) -> int:
        return int(self.value("<Q"))

    def string(self, limit: int, what: str, keep: int | None = None) -> str:
        length = self._length(limit, what)
        kept = length if keep is None else min(length, keep)
        text = self.take(kept).decode("utf-8", errors="replace")
        self.skip(length - kept)
        return text

    def hashed(self, limit: int, what: str, keep: int) -> tuple[str, bytes, int]:
        """SHA-256 of a string as hex digits, its first `keep` bytes, and its length."""
        length, hasher, kept = self._length(limit, what), hashlib.sha256(), b""
        left = length
        while left:
            part = self.take(min(left, CHUNK))
            hasher.update(part)
            kept += part[: keep - len(kept)]
            left -= len(part)
        return hasher.hexdigest(), kept, length

    def _length(self, limit: int, what: str) -> int:
        length = self.u64()
        if length > self.left:
            raise self.short()
        if length > limit:
            raise invalid(f"The GGUF header is damaged: {what} claims to be {length} bytes long. {AGAIN}")
        return length

    def short(self) -> BadWeights:
        return invalid(
            f"The file is cut short or damaged: it has {self._size} bytes and its GGUF header goes beyond them. {AGAIN}"
        )


class _Prefixed:
    """A stream that first gives back bytes already read."""

    def __init__(self, prefix: bytes, stream: Readable) -> None:
        self._prefix = prefix
        self._stream = stream

    def read(self, count: int, /) -> bytes:
        if self._prefix:
            part, self._prefix = self._prefix[:count], self._prefix[count:]
            return part
        return self._stream.read(count)
