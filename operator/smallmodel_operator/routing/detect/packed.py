"""Bytes that were in a text in another form (encodings.py), as text: of whatever alphabet, compressed or not. Pure."""

import bz2
import lzma
import re
import zlib
from collections.abc import Iterator
from typing import Final, Protocol

LEAST: Final = 8
"""Bytes that there must be, to be looked at."""
MOST: Final = 256 * 1024
"""Bytes that are unpacked of one stretch: a bomb is no text anybody reads."""
_LEAST_DEFLATED: Final = 12
_ODD: Final = re.compile("[\\x00-\\x08\\x0e-\\x1f\\x7f-\\x9f\\ue000-\\uf8ff]")
_READABLE: Final = bytes((*range(32, 127), 9, 10, 13))
_CLOSED: Final = (b"PK\x03\x04", b"7z\xbc\xaf\x27\x1c", b"(\xb5/\xfd", b"\x04\x22M\x18", b"Rar!", b"Salted__")
"""How packed things begin that are not opened here: zip, 7z, zstd, lz4, rar, OpenSSL's."""


class Opaque(Exception):  # noqa: N818 - says what is the matter
    """There is something in the text that is no text, or may hold one that is not seen here."""


class _Unpacks(Protocol):
    @property
    def eof(self) -> bool: ...

    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


def texts(raw: bytes) -> Iterator[str]:
    """The bytes as text, if that is what they are, or what was compressed.

    Raises:
        Opaque: something is packed in a way that is not opened, or is too large.
    """
    if len(raw) < LEAST:
        return
    text = text_of(raw)
    if text:
        yield text
    if not raw.translate(None, _READABLE):
        return  # of what is short and packed most bytes may be readable, too, but never all
    unpacked = _opened(raw)
    if unpacked and (inner := text_of(unpacked)):
        yield inner
    elif unpacked and not text:
        raise Opaque


def _opened(raw: bytes) -> bytes:
    """What was compressed; empty where nothing was."""
    if raw.startswith(_CLOSED):
        raise Opaque
    if raw.startswith(b"\x1f\x8b\x08"):
        return _all_of(zlib.decompressobj(31), raw, sure=True)
    if raw.startswith(b"BZh"):
        return _all_of(bz2.BZ2Decompressor(), raw, sure=True)
    if raw.startswith((b"\xfd7zXZ\x00", b"]\x00\x00")):
        return _all_of(lzma.LZMADecompressor(memlimit=64 * 1024 * 1024), raw, sure=True)
    if raw[0] & 15 == 8 and int.from_bytes(raw[:2], "big") % 31 == 0:
        return _all_of(zlib.decompressobj(), raw, sure=False)
    return _all_of(zlib.decompressobj(-15), raw, sure=False) if len(raw) >= _LEAST_DEFLATED else b""


def _all_of(opener: _Unpacks, raw: bytes, *, sure: bool) -> bytes:
    """`sure`: it says of itself that it is compressed. What only might be, and is nothing then, is none."""
    try:
        data = opener.decompress(raw, MOST)
    except (zlib.error, lzma.LZMAError, OSError, EOFError):
        if sure:
            raise Opaque from None
        return b""
    if not opener.eof and (sure or (len(data) >= MOST and _shrank(opener, raw, data) and text_of(data))):
        raise Opaque
    return data if sure or (opener.eof and text_of(data)) else b""


def _shrank(opener: _Unpacks, raw: bytes, data: bytes) -> bool:
    """Was it made shorter by packing it? Words over and over (`ab ab ab`, read as hexadecimal) are a stream, too, by
    chance, and grow by nothing."""
    return len(data) > 1.2 * (len(raw) - len(getattr(opener, "unconsumed_tail", b"")))


def text_of(raw: bytes) -> str:
    """UTF-8; UTF-16 and UTF-32, which say so by their zeros; or one byte for each character, most of them plain."""
    if not raw:
        return ""
    form = _form(raw)
    try:
        text = raw.decode(form)
    except UnicodeDecodeError:
        plain = len(raw) - len(raw.translate(None, _READABLE))
        return raw.decode("latin-1") if plain >= max(LEAST, 0.7 * len(raw)) else ""
    return text if len(_ODD.findall(text)) <= 0.1 * len(text) else ""


def _form(raw: bytes) -> str:
    zeros = [raw[start::4].count(0) * 4 / len(raw) for start in range(4)]
    if min(zeros[2:]) > 0.7 and zeros[0] < 0.3:
        return "utf-32-le"
    if min(zeros[:2]) > 0.7 and zeros[3] < 0.3:
        return "utf-32-be"
    if zeros[1] + zeros[3] > 1 / 2:
        return "utf-16-le"
    return "utf-16-be" if zeros[0] + zeros[2] > 1 / 2 else "utf-8"
