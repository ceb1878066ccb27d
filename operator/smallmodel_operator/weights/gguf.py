"""Reads a GGUF header (versions 2 and 3, little endian): what the weights are, without reading the weights.

Streaming: memory is bounded by MAX_STRING and MAX_ITEMS, whatever the file claims. Every count is checked against
the bytes that are left before it is believed. The only exception is BadWeights.
"""

import hashlib
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from smallmodel_operator.api.conditions import Reason
from smallmodel_operator.weights.foreign import AGAIN, BIG_ENDIAN, MAGIC, looks_like
from smallmodel_operator.weights.gguf_types import ARRAY, BLOCKS, EMBEDDING, SCALARS, STRING, is_repacked

MAX_KEYS: Final = 65_536
MAX_TENSORS: Final = 262_144
MAX_STRING: Final = 16 * 2**20
"""Longest string that is believed; chat templates are some tens of KiB."""
KEPT_STRING: Final = 256
"""Bytes of a string value that are kept; nothing we report is longer."""
CHAT_TEMPLATE: Final = "tokenizer.chat_template"
"""Kept as its SHA-256."""
KEPT_ITEMS: Final = 4096
"""Longest array of numbers that is kept (one per layer); longer ones are only counted."""
MAX_ITEMS: Final = 32 * 2**20
MAX_NAME: Final = 65_535
CHUNK: Final = 2**20
DEFAULT_ALIGNMENT: Final = 32


class BadWeights(Exception):  # noqa: N818 - the field's word
    """The file cannot be served; `message` names the cause and the way out."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


def invalid(message: str) -> BadWeights:
    return BadWeights(Reason.WEIGHTS_INVALID, message)


@dataclass(frozen=True, slots=True)
class Header:
    """A header that was read to its end.

    `values` holds scalars, shortened strings (of the chat template its SHA-256) and short arrays of numbers; `lengths`
    the length of every array; `bytes_by_type` the stored size of the tensors by block type; `repacked_bytes` that of
    those llama.cpp copies.
    """

    version: int
    values: Mapping[str, Any]
    lengths: Mapping[str, int]
    tensors: int
    parameters: int
    bytes_by_type: Mapping[str, int]
    tensor_sizes: Mapping[str, int]
    repacked_bytes: int
    data_offset: int
    data_bytes: int
    file_bytes: int


class Readable(Protocol):
    """What is needed of a stream."""

    def read(self, count: int, /) -> bytes: ...


class _Reader:
    """Reads little-endian values and counts; refuses to pass the end of the file."""

    def __init__(self, stream: Readable, file_bytes: int) -> None:
        self._stream = stream
        self._size = file_bytes
        self.position = 0

    @property
    def left(self) -> int:
        return self._size - self.position

    def bytes(self, count: int) -> bytes:
        if count > self.left:
            raise self.short()
        parts = []
        missing = count
        while missing:
            part = self._stream.read(min(missing, CHUNK))
            if not part:
                raise self.short()
            parts.append(part)
            missing -= len(part)
        self.position += count
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def skip(self, count: int) -> None:
        if count > self.left:
            raise self.short()
        while count:
            step = min(count, CHUNK)
            self.bytes(step)
            count -= step

    def value(self, form: str) -> Any:
        return struct.unpack(form, self.bytes(struct.calcsize(form)))[0]

    def u32(self) -> int:
        return int(self.value("<I"))

    def u64(self) -> int:
        return int(self.value("<Q"))

    def string(self, limit: int, what: str, keep: int | None = None) -> str:
        length = self._length(limit, what)
        kept = length if keep is None else min(length, keep)
        text = self.bytes(kept).decode("utf-8", errors="replace")
        self.skip(length - kept)
        return text

    def sha256(self, limit: int, what: str) -> str:
        """Hash of a string, as hex digits."""
        left, hasher = self._length(limit, what), hashlib.sha256()
        while left:
            part = self.bytes(min(left, CHUNK))
            hasher.update(part)
            left -= len(part)
        return hasher.hexdigest()

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


def read_header(stream: Readable, file_bytes: int) -> Header:
    """Read the header from the start of a stream of a file of this size.

    Raises:
        BadWeights: not a GGUF file, damaged, cut short, of a version or layout that cannot be served.
    """
    reader = _Reader(stream, file_bytes)
    version = _version(reader, file_bytes)
    tensors, keys = reader.u64(), reader.u64()
    if tensors > MAX_TENSORS or keys > MAX_KEYS:
        raise invalid(f"The GGUF header is damaged: it claims {tensors} tensors and {keys} keys. {AGAIN}")
    if tensors == 0:
        raise invalid("The GGUF file holds no tensors (a vocabulary only). Use the file with the model's weights.")
    values: dict[str, Any] = {}
    lengths: dict[str, int] = {}
    for _ in range(keys):
        key = reader.string(MAX_NAME, "a key")
        _value(reader, key, values, lengths)
    alignment = values.get("general.alignment", DEFAULT_ALIGNMENT)
    if not isinstance(alignment, int) or not 8 <= alignment <= 2**20 or alignment & (alignment - 1):
        raise invalid(f"The GGUF header is damaged: `general.alignment` is {alignment!r}. {AGAIN}")
    return _tensors(reader, tensors, alignment, version, values, lengths)


def _version(reader: _Reader, file_bytes: int) -> int:
    start = reader.bytes(min(512, file_bytes))
    if start[:4] != MAGIC or len(start) < 24:
        raise invalid(looks_like(start, file_bytes))
    version = int.from_bytes(start[4:8], "little")
    if version & 0xFFFF == 0 and version:
        raise invalid(BIG_ENDIAN)
    if version not in (2, 3):
        raise invalid(
            f"The GGUF file has version {version}; versions 2 and 3 are read. Convert the model again with a "
            "current llama.cpp."
        )
    # The first 512 bytes served to name what else it could be; hand back what follows the version.
    reader._stream = _Prefixed(start[8:], reader._stream)
    reader.position = 8
    return version


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


def _value(reader: _Reader, key: str, values: dict[str, Any], lengths: dict[str, int]) -> None:
    kind = reader.u32()
    if kind in SCALARS:
        value = reader.value(SCALARS[kind])
        values[key] = None if isinstance(value, float) and not math.isfinite(value) else value
    elif kind == STRING:
        what = f"`{key[:64]}`"
        values[key] = (
            reader.sha256(MAX_STRING, what) if key == CHAT_TEMPLATE else reader.string(MAX_STRING, what, KEPT_STRING)
        )
    elif kind == ARRAY:
        _array(reader, key, values, lengths)
    else:
        raise invalid(f"The GGUF header is damaged: key `{key[:64]}` has the unknown value type {kind}. {AGAIN}")


def _array(reader: _Reader, key: str, values: dict[str, Any], lengths: dict[str, int]) -> None:
    kind, length = reader.u32(), reader.u64()
    if kind not in SCALARS and kind != STRING:
        raise invalid(f"The GGUF header is damaged: array `{key[:64]}` has elements of type {kind}. {AGAIN}")
    smallest = 8 if kind == STRING else struct.calcsize(SCALARS[kind])
    if length * smallest > reader.left:
        raise reader.short()
    if length > MAX_ITEMS:
        raise invalid(f"The GGUF header is damaged: array `{key[:64]}` claims {length} elements. {AGAIN}")
    lengths[key] = length
    if kind == STRING:
        for _ in range(length):
            reader.string(MAX_STRING, f"an element of `{key[:64]}`", 0)
    elif length <= KEPT_ITEMS:
        values[key] = list(struct.unpack(f"<{length}{SCALARS[kind][1]}", reader.bytes(length * smallest)))
    else:
        reader.skip(length * smallest)


def _tensors(
    reader: _Reader, count: int, alignment: int, version: int, values: dict[str, Any], lengths: dict[str, int]
) -> Header:
    by_type: dict[str, int] = {}
    sizes: dict[str, int] = {}
    parameters = end = 0
    copied = {True: 0, False: 0}  # the token embedding, everything else
    for _ in range(count):
        name = reader.string(MAX_NAME, "a tensor's name")
        shape = _shape(reader, name)
        block, size = _size(name, shape, reader.u32())
        offset = reader.u64()
        if offset != end:
            raise invalid(f"The GGUF header is damaged: tensor `{name[:64]}` is at {offset} instead of {end}. {AGAIN}")
        end = _aligned(offset + size, alignment)
        last = offset + size
        parameters += math.prod(shape)
        by_type[block] = by_type.get(block, 0) + size
        if is_repacked(name, block, shape):
            copied[name == EMBEDDING] += size
        if name in (EMBEDDING, "output.weight"):
            sizes[name] = size
    data = _aligned(reader.position, alignment)
    size = reader.position + reader.left
    if data + last > size:
        raise invalid(
            f"The file is cut short: it has {size} bytes and its header describes {data + last}. "
            "Copy or download it again, to its end."
        )
    # Without a tensor of its own the output is the token embedding, which is looked up in as well: it has both forms.
    repacked = copied[False] + (0 if "output.weight" in sizes else copied[True])
    return Header(version, values, lengths, count, parameters, by_type, sizes, repacked, data, last, size)


def _shape(reader: _Reader, name: str) -> tuple[int, ...]:
    dimensions = reader.u32()
    if not 1 <= dimensions <= 4:
        raise invalid(f"The GGUF header is damaged: tensor `{name[:64]}` has {dimensions} dimensions. {AGAIN}")
    shape = tuple(reader.u64() for _ in range(dimensions))
    if not 0 < math.prod(shape) < 2**62:
        raise invalid(f"The GGUF header is damaged: tensor `{name[:64]}` has the shape {shape}. {AGAIN}")
    return shape


def _size(name: str, shape: tuple[int, ...], kind: int) -> tuple[str, int]:
    if kind not in BLOCKS:
        raise invalid(
            f"Tensor `{name[:64]}` has block type {kind}, which this release does not know. Use another "
            "quantization or a newer operator; if neither helps, the file is damaged."
        )
    block, elements, size = BLOCKS[kind]
    if shape[0] % elements:
        raise invalid(
            f"The GGUF header is damaged: rows of tensor `{name[:64]}` ({shape[0]}) are no multiple of {block}'s "
            f"{elements}. {AGAIN}"
        )
    return block, math.prod(shape) // elements * size


def _aligned(value: int, alignment: int) -> int:
    return -(-value // alignment) * alignment
