"""Little-endian values from a stream whose size is known; never past its end, never more than a header may have."""

import hashlib
import struct
from typing import Any, Final, Protocol

from smallmodel_operator.weights.foreign import AGAIN
from smallmodel_operator.weights.refusal import BadWeights, invalid

CHUNK: Final = 2**20
AHEAD: Final = 64 * 2**10
"""Bytes that are read at a time: a header has some hundred thousand strings of a few bytes."""
_LENGTH: Final = struct.Struct("<Q")
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
        self._held = b""
        self._at = 0
        """Up to here the held bytes were given out."""
        self.position = 0

    @property
    def left(self) -> int:
        return self._size - self.position

    def peek(self, count: int) -> bytes:
        """The next bytes, fewer at the end; they stay to be read."""
        count = min(count, self.left)
        self._hold(count)
        return self._held[self._at : self._at + count]

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
        if self._at + count > len(self._held):
            self._hold(count)
        begun, self._at = self._at, self._at + count
        return self._held[begun : self._at]

    def _hold(self, count: int) -> None:
        """Read until so many bytes are held, and some more of the file, never beyond the size it is said to have."""
        parts = [self._held[self._at :]]
        missing = count - len(parts[0])
        unread = self.left - len(parts[0])
        while missing > 0:
            part = self._stream.read(min(max(missing, AHEAD), CHUNK, unread))
            if not part:
                raise self.short()
            parts.append(part)
            missing -= len(part)
            unread -= len(part)
        self._held, self._at = b"".join(parts), 0

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

    def pass_strings(self, count: int, limit: int, what: str) -> None:
        """Pass over so many strings, each checked as by `string`. Those that are held whole cost next to nothing."""
        while count:
            self.string(limit, what, 0)
            count -= 1
            held, at = self._held, self._at
            last = min(len(held), at + MAX_HEADER - self.position) - _LENGTH.size
            while count and at <= last:
                (length,) = _LENGTH.unpack_from(held, at)
                if length > limit or at + length > last:
                    break
                at += _LENGTH.size + length
                count -= 1
            self.position += at - self._at
            self._at = at

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
