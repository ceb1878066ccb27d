"""Texts that stand in a text in another form: base64, hex, URL, HTML, escapes, look-alike digits. Pure, one level.

Each form is tried where it may be meant, and what comes out counts only if it is text. A stretch of base64 as long as
a file that is no text is `Opaque`: nobody here can say what it holds.
"""

import base64
import binascii
import html
import quopri
import re
from collections.abc import Callable, Iterator
from typing import Final
from urllib.parse import unquote

LEAST_OPAQUE: Final = 256
"""Bytes; keys and hashes are shorter."""
_LEAST: Final = 8
"""Bytes that what is decoded must have to be looked at."""
_WRAPPED: Final = 40
"""Characters from which lines of base64 are taken for one stretch."""

BASE64: Final = re.compile(r"[A-Za-z0-9+/_-]{12,}={0,2}(?:[ \t]*\r?\n[ \t]*[A-Za-z0-9+/_-]{4,}={0,2})*")
_BLANKS: Final = re.compile(r"\s+")
_INSIDE: Final = re.compile(r"[/_+-]")
BASE32: Final = re.compile(r"(?<![A-Za-z0-9])[A-Z2-7]{13,}={0,6}(?![A-Za-z0-9])")
HEX: Final = re.compile(r"[0-9A-Fa-f]{2}(?:(?:[ :,-]|,? ?0x)?[0-9A-Fa-f]{2}){7,}")
_HEX_NOISE: Final = re.compile(r"0x|[^0-9A-Fa-f]")
URL: Final = re.compile(r"%[0-9A-Fa-f]{2}")
ENTITY: Final = re.compile(r"&(?:#\d{1,7}|#[xX][0-9A-Fa-f]{1,6}|[A-Za-z]{2,8})")
ESCAPE: Final = re.compile(
    r"\\(?:u\{([0-9A-Fa-f]{1,6})\}|[uU]([0-9A-Fa-f]{8}|[0-9A-Fa-f]{4})|x([0-9A-Fa-f]{2})|([\"\\/]))"
)
BYTES: Final = re.compile(r"(?<!\\)(?:\\x[0-9A-Fa-f]{2})+")
QUOTED: Final = re.compile(r"=(?:[0-9A-F]{2}|\r?\n)")
LOOK_ALIKE: Final = re.compile(r"(?<![A-Za-z])[0-9OoIl](?:[ ./-]?[0-9OoIl]){7,}(?![A-Za-z])")
_LOOKS: Final = str.maketrans("OoIl", "0011")


class Opaque(Exception):  # noqa: N818 - says what is the matter
    """There is something long in the text that is no text."""


def _url(text: str) -> Iterator[str]:
    yield unquote(text, errors="replace")


def _html(text: str) -> Iterator[str]:
    yield html.unescape(text)


def _escapes(text: str) -> Iterator[str]:
    yield ESCAPE.sub(_escaped, BYTES.sub(_bytes, text))


def _bytes(match: "re.Match[str]") -> str:
    try:
        return bytes.fromhex(match[0].replace("\\x", "")).decode()
    except UnicodeDecodeError:
        return match[0]


def _quoted(text: str) -> Iterator[str]:
    if len(QUOTED.findall(text)) > 2 and text.isascii():
        yield quopri.decodestring(text.encode()).decode("utf-8", "replace")


def _looks(text: str) -> Iterator[str]:
    for match in LOOK_ALIKE.finditer(text):
        if sum(map(str.isdigit, match[0])) > 3 and not set(match[0]).isdisjoint("OoIl"):
            yield match[0].translate(_LOOKS)


def _hexes(text: str) -> Iterator[str]:
    for match in HEX.finditer(text):
        yield from _hex(match[0])


def _base32(text: str) -> Iterator[str]:
    for match in BASE32.finditer(text):
        yield from _text(_unpacked(base64.b32decode, match[0].rstrip("="), 8))


def _base64s(text: str) -> Iterator[str]:
    for match in BASE64.finditer(text):
        if not (match[0].islower() and match[0].isalpha()):  # a long word
            yield from _base64(match[0])


FORMS: Final[tuple[tuple[str, Callable[[str], Iterator[str]]], ...]] = (
    (r"%[0-9A-Fa-f]{2}", _url),
    (r"&[#A-Za-z]", _html),
    (r"\\[uUx\"\\/]", _escapes),
    (r"=[0-9A-F]{2}", _quoted),
    (r"[0-9OoIl](?:[ ./\-]?[0-9OoIl]){7}", _looks),
    (r"[0-9A-Fa-f]{2}(?:(?:[ :,\-]|,? ?0x)?[0-9A-Fa-f]{2}){7}", _hexes),
    (r"[A-Z2-7]{13}", _base32),
    (r"[A-Za-z0-9+/_\-]{12}", _base64s),
)
"""What hints at a form (RE2), and what reads it, one level deep; Opaque is raised where something long is no text."""


def _escaped(match: "re.Match[str]") -> str:
    if match[4]:
        return match[4]
    code = int(match[1] or match[2] or match[3], 16)
    return chr(code) if code < 0xD800 or 0xE000 <= code < 0x110000 else "\ufffd"


def _hex(found: str) -> Iterator[str]:
    digits = _HEX_NOISE.sub("", found)
    yield from _text(bytes.fromhex(digits[: len(digits) & ~1]))


def _base64(found: str) -> Iterator[str]:
    lines = found.split()
    stretches = ["".join(lines)] if len(lines[0]) >= _WRAPPED else lines
    for stretch in stretches:
        raw = _unpacked(_either, stretch.rstrip("="), 4)
        texts = list(_text(raw))
        if texts:
            yield from texts
        elif len(raw) >= LEAST_OPAQUE:
            raise Opaque
        elif _INSIDE.search(stretch):  # a path, or words with dashes: each part by itself
            for part in _INSIDE.split(stretch):
                yield from _text(_unpacked(_either, part.rstrip("="), 4))


def _either(data: str) -> bytes:
    return base64.b64decode(data.replace("-", "+").replace("_", "/"))


def _unpacked(how: Callable[[str], bytes], data: str, block: int) -> bytes:
    if len(data) * 6 < _LEAST * 8:
        return b""
    try:
        return how(data + "=" * (-len(data) % block))
    except (binascii.Error, ValueError):
        return b""


def _text(raw: bytes) -> Iterator[str]:
    """The bytes as text, if that is what they are: UTF-8, or UTF-16 that says so by its zeros."""
    if len(raw) < _LEAST:
        return
    little, big = (raw[start::2].count(0) * 4 > len(raw) for start in (1, 0))
    form = "utf-16-le" if little else "utf-16-be" if big else "utf-8"
    try:
        text = raw.decode(form)
    except UnicodeDecodeError:
        return
    if sum(map(str.isprintable, text)) + text.count("\n") + text.count("\r") + text.count("\t") >= 0.9 * len(text):
        yield text
