"""Reads a GGUF header (versions 2 and 3, little endian): what the weights are, without reading the weights.

Streaming: memory and time are bounded whatever the file claims, and every count is checked against the bytes that are
left before it is believed. What two readers could understand differently (a name given twice, tensors that overlap or
leave gaps) is refused: the engine must not load something else than was looked at. The only exception is BadWeights.
"""

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from smallmodel_operator.weights import foreign
from smallmodel_operator.weights.copies import Copies, of_tensor
from smallmodel_operator.weights.foreign import AGAIN, BIG_ENDIAN, MAGIC
from smallmodel_operator.weights.gguf_types import ARRAY, BLOCKS, EMBEDDING, SCALARS, STRING
from smallmodel_operator.weights.refusal import BadWeights as BadWeights
from smallmodel_operator.weights.refusal import invalid as invalid
from smallmodel_operator.weights.stream import HeaderReader, Readable

MAX_KEYS: Final = 8192
MAX_TENSORS: Final = 262_144
MAX_STRING: Final = 16 * 2**20
"""Longest string that is believed; chat templates are some tens of KiB."""
KEPT_STRING: Final = 256
"""Bytes of a string value that are kept; nothing we report is longer."""
CHAT_TEMPLATE: Final = "tokenizer.chat_template"
"""Kept as its SHA-256, and as text apart; so are those named `tokenizer.chat_template.NAME`."""
MAX_TEMPLATE: Final = 256 * 1024
"""Bytes of a chat template that are kept; the longest in use are some tens of KiB."""
MAX_TEMPLATES: Final = 16
KEPT_ITEMS: Final = 4096
"""Longest array of numbers that is kept (one per layer); longer ones are only counted."""
KEPT_NUMBERS: Final = 65_536
"""Numbers that are kept of all arrays together."""
MAX_ITEMS: Final = 8 * 2**20
"""Elements of all arrays together; the largest vocabularies have one million, their merges included."""
MAX_KEY: Final = 1024
MAX_TENSOR_NAME: Final = 63
"""Longest name the engine takes."""
PEEK: Final = 512
"""First bytes that serve to name what a file is that is not GGUF."""
DEFAULT_ALIGNMENT: Final = 32


@dataclass(frozen=True, slots=True)
class Template:
    """A chat template of the header. `text` is cut at MAX_TEMPLATE bytes; `length` is all of them."""

    key: str
    sha256: str
    text: str
    length: int


@dataclass(frozen=True, slots=True)
class Header:
    """A header that was read to its end.

    `values` holds scalars, shortened strings (of the chat template its SHA-256) and short arrays of numbers; `lengths`
    the length of every array; `bytes_by_type` the stored size of the tensors by block type; `copies` what
    llama.cpp copies of them.
    """

    version: int
    values: Mapping[str, Any]
    lengths: Mapping[str, int]
    tensors: int
    parameters: int
    bytes_by_type: Mapping[str, int]
    tensor_sizes: Mapping[str, int]
    copies: Copies
    data_offset: int
    data_bytes: int
    file_bytes: int
    templates: tuple[Template, ...] = ()
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Dimensions of each tensor by its name."""


class _Keys:
    """The header's keys as they are read."""

    def __init__(self, reader: HeaderReader) -> None:
        self._reader = reader
        self._items = 0
        self._numbers = 0
        self.values: dict[str, Any] = {}
        self.lengths: dict[str, int] = {}
        self.templates: list[Template] = []

    def read(self) -> None:
        """One key with its value."""
        key = _name(self._reader.string(MAX_KEY, "a key"), "a key")
        if key in self.values or key in self.lengths:
            raise invalid(f"The GGUF header is damaged: it has the key `{key[:64]}` twice. {AGAIN}")
        kind = self._reader.u32()
        if kind in SCALARS:
            value = self._reader.value(SCALARS[kind])
            self.values[key] = None if isinstance(value, float) and not math.isfinite(value) else value
        elif kind == STRING:
            self.values[key] = self._string(key)
        elif kind == ARRAY:
            self._array(key)
        else:
            raise invalid(f"The GGUF header is damaged: key `{key[:64]}` has the unknown value type {kind}. {AGAIN}")

    def _string(self, key: str) -> str:
        what = f"`{key[:64]}`"
        if key != CHAT_TEMPLATE and not key.startswith(f"{CHAT_TEMPLATE}."):
            return self._reader.string(MAX_STRING, what, KEPT_STRING)
        if len(self.templates) == MAX_TEMPLATES:
            raise invalid(
                f"The GGUF header has more than {MAX_TEMPLATES} chat templates, which no model needs. {AGAIN}"
            )
        sha256, kept, length = self._reader.hashed(MAX_STRING, what, MAX_TEMPLATE)
        self.templates.append(Template(key, sha256, kept.decode("utf-8", errors="replace"), length))
        return sha256

    def _array(self, key: str) -> None:
        reader = self._reader
        kind, length = reader.u32(), reader.u64()
        if kind not in SCALARS and kind != STRING:
            raise invalid(f"The GGUF header is damaged: array `{key[:64]}` has elements of type {kind}. {AGAIN}")
        smallest = 8 if kind == STRING else struct.calcsize(SCALARS[kind])
        if length * smallest > reader.left:
            raise reader.short()
        self._items += length
        if self._items > MAX_ITEMS:
            raise invalid(
                f"The GGUF header is damaged: its arrays up to `{key[:64]}` claim {self._items} elements. {AGAIN}"
            )
        self.lengths[key] = length
        if kind == STRING:
            reader.pass_strings(length, MAX_STRING, f"an element of `{key[:64]}`")
        elif length <= KEPT_ITEMS and self._numbers + length <= KEPT_NUMBERS:
            self._numbers += length
            self.values[key] = list(struct.unpack(f"<{length}{SCALARS[kind][1]}", reader.take(length * smallest)))
        else:
            reader.skip(length * smallest)


def read_header(stream: Readable, file_bytes: int, name: str = "") -> Header:
    """Read the header from the start of a stream of a file of this size; its name helps to say what else it is.

    Raises:
        BadWeights: not a GGUF file, damaged, cut short, of a version or layout that cannot be served.
    """
    reader = HeaderReader(stream, file_bytes)
    version = _version(reader, file_bytes, name)
    tensors, count = reader.u64(), reader.u64()
    if tensors > MAX_TENSORS or count > MAX_KEYS:
        raise invalid(f"The GGUF header is damaged: it claims {tensors} tensors and {count} keys. {AGAIN}")
    if tensors == 0:
        raise invalid("The GGUF file holds no tensors (a vocabulary only). Use the file with the model's weights.")
    keys = _Keys(reader)
    for _ in range(count):
        keys.read()
    alignment = keys.values.get("general.alignment", DEFAULT_ALIGNMENT)
    if not isinstance(alignment, int) or not 8 <= alignment <= 2**20 or alignment & (alignment - 1):
        raise invalid(f"The GGUF header is damaged: `general.alignment` is {alignment!r}. {AGAIN}")
    return _tensors(reader, tensors, alignment, version, keys)


def _version(reader: HeaderReader, file_bytes: int, name: str) -> int:
    start = reader.peek(PEEK)
    if start[:4] != MAGIC or len(start) < 24:
        raise foreign.refusal(start, file_bytes, name)
    version = int.from_bytes(reader.take(8)[4:], "little")
    if version & 0xFFFF == 0 and version:
        raise invalid(BIG_ENDIAN)
    if version not in (2, 3):
        raise invalid(
            f"The GGUF file has version {version}; versions 2 and 3 are read. Convert the model again with a "
            "current llama.cpp."
        )
    return version


def _tensors(reader: HeaderReader, count: int, alignment: int, version: int, keys: _Keys) -> Header:
    by_type: dict[str, int] = {}
    sizes: dict[str, int] = {}
    shapes: dict[str, tuple[int, ...]] = {}
    parameters = end = 0
    copied = {True: Copies(), False: Copies()}  # the token embedding, everything else
    for _ in range(count):
        name = _name(reader.string(MAX_TENSOR_NAME, "a tensor's name"), "a tensor's name")
        if name in shapes:
            raise invalid(f"The GGUF header is damaged: it has the tensor `{name}` twice. {AGAIN}")
        shape = shapes[name] = _shape(reader, name)
        block, size = _size(name, shape, reader.u32())
        offset = reader.u64()
        if offset != end:
            raise invalid(f"The GGUF header is damaged: tensor `{name[:64]}` is at {offset} instead of {end}. {AGAIN}")
        end = _aligned(offset + size, alignment)
        last = offset + size
        parameters += math.prod(shape)
        by_type[block] = by_type.get(block, 0) + size
        copied[name == EMBEDDING] += of_tensor(name, block, shape)
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
    copies = copied[False] + (Copies() if "output.weight" in sizes else copied[True])
    described = (version, keys.values, keys.lengths, count, parameters, by_type, sizes, copies, data, last, size)
    return Header(*described, templates=tuple(keys.templates), shapes=shapes)


def _name(text: str, what: str) -> str:
    """The engine compares names up to a zero byte: what follows it would be looked at here and not there."""
    if not text.isascii() or not text.isprintable():
        raise invalid(f"The GGUF header is damaged: {what}, {text[:64]!a}, has characters no name has. {AGAIN}")
    return text


def _shape(reader: HeaderReader, name: str) -> tuple[int, ...]:
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
