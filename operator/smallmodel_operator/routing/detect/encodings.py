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
from urllib.parse import unquote, unquote_plus

from smallmodel_operator.routing.detect import packed
from smallmodel_operator.routing.detect.packed import Opaque

LEAST_OPAQUE: Final = 256
"""Bytes; keys and hashes are shorter."""
_WRAPPED: Final = 40
"""Characters from which lines of base64 are taken for one stretch."""

BASE64: Final = re.compile(r"[A-Za-z0-9+/_-]{12,}={0,2}(?:[ \t]*\r?\n[ \t>]*[A-Za-z0-9+/_-]{4,}={0,2})*")
_INSIDE: Final = re.compile(r"[/_+-]")
BASE32: Final = re.compile(r"(?<![A-Za-z0-9])(?:[A-Z2-7]{13,}|(?=[a-z]{0,60}[2-7])[a-z2-7]{13,})={0,6}(?![A-Za-z0-9])")
HEX: Final = re.compile(r"[0-9A-Fa-f]{2}(?:(?:[ :,-]|,? ?0x|[ \t]?\r?\n[ \t]{0,8})?[0-9A-Fa-f]{2}){7,}")
_HEX_NOISE: Final = re.compile(r"0x|[^0-9A-Fa-f]")
_WIDE_URL: Final = re.compile(r"%u([0-9A-Fa-f]{4})")
_PAIR: Final = re.compile(r"([\\%])u([Dd][89ABab][0-9A-Fa-f]{2})\1u([Dd][C-Fc-f][0-9A-Fa-f]{2})")
"""A character above U+FFFF, as JSON and JavaScript write it: two halves."""
_INLINE: Final = re.compile(
    r"<!--.{0,200}?-->|</?(?:b|i|u|s|a|em|strong|span|font|mark|small|big|sub|sup|code|tt|wbr|bdi|bdo)\b[^<>]{0,200}>"
    r"|<!\[CDATA\[|\]\]>",
    re.I | re.S,
)
"""What a browser shows nothing of: a number goes on behind it. Cells of a table are apart."""
_OPERATOR: Final = r"""["'`][ \t]*(?:\+|\.|&|\|\||\\)[ \t]*(?:\r?\n)?[ \t]*["'`]"""
"""What joins two texts of a program."""
_BETWEEN: Final = "\n;;;;\n"
"""Stands between things that do not belong together; no number goes on over it."""
DECIMAL: Final = re.compile(r"(?<![0-9.])(?:[0-9]{2,3}[ ,;\r\n]{1,3}){7,}[0-9]{2,3}(?![0-9])")
BINARY: Final = re.compile(r"(?<![0-9])(?:[01]{8}[ ,\r\n]{0,2}){8,}(?![0-9])")
ESCAPE: Final = re.compile(
    r"\\(?:u\{([0-9A-Fa-f]{1,6})\}|(?:u|U0000)([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|x([0-9A-Fa-f]{2})|([\"\\/nrt])"
    r"|([0-3][0-7]{2}))|U\+([0-9A-Fa-f]{4,6})(?:[ ,](?=U\+))?"
)
BYTES: Final = re.compile(r"(?<!\\)(?:\\x[0-9A-Fa-f]{2})+")
QUOTED: Final = re.compile(r"=(?:[0-9A-Fa-f]{2}|\r?\n)")
LOOK_ALIKE: Final = re.compile(
    r"(?<![A-Za-z])((?:[A-Za-z]{2}(?=[0-9OoIl]{2}[ ./-]{0,2}[0-9OoIl]{4}))?)"
    r"([0-9OoIl](?:[ ./-]{0,2}[0-9OoIl]){7,})(?![A-Za-z])"
)
"""Perhaps behind the letters of a country: an IBAN."""
_LOOKS: Final = str.maketrans("OoIl", "0011")


def _url(text: str) -> Iterator[str]:
    text = _WIDE_URL.sub(lambda match: _character(int(match[1], 16)), _PAIR.sub(_whole, text))
    yield unquote(text, errors="replace")
    if "+" in text:
        yield unquote_plus(text, errors="replace")


def _html(text: str) -> Iterator[str]:
    yield html.unescape(text)


def _tags(text: str) -> Iterator[str]:
    yield _INLINE.sub("", text)


def _escapes(text: str) -> Iterator[str]:
    yield ESCAPE.sub(_escaped, BYTES.sub(_bytes, _PAIR.sub(_whole, text)))


def _whole(halves: "re.Match[str]") -> str:
    return bytes.fromhex(halves[2] + halves[3]).decode("utf-16-be")


def _bytes(match: "re.Match[str]") -> str:
    try:
        return bytes.fromhex(match[0].replace("\\x", "")).decode()
    except UnicodeDecodeError:
        return match[0]


def _quoted(text: str) -> Iterator[str]:
    if len(QUOTED.findall(text)) > 2:
        yield quopri.decodestring(text.encode("utf-8", "replace")).decode("utf-8", "replace")


def _looks(text: str) -> Iterator[str]:
    for match in LOOK_ALIKE.finditer(text):
        if sum(map(str.isdigit, match[2])) > 3 and not set(match[2]).isdisjoint("OoIl"):
            yield match[1] + match[2].translate(_LOOKS)


def _hexes(text: str) -> Iterator[str]:
    for match in HEX.finditer(text):
        yield from _hex(match[0])


def _decimals(text: str) -> Iterator[str]:
    for match in DECIMAL.finditer(text):
        yield from _bytes_of(re.findall("[0-9]+", match[0]), 10)


def _binaries(text: str) -> Iterator[str]:
    for match in BINARY.finditer(text):
        yield from _bytes_of(re.findall("[01]{8}", match[0]), 2)


def _bytes_of(numbers: list[str], base: int) -> Iterator[str]:
    """As text, as far as they are bytes of one: tables hold numbers, too."""
    try:
        raw = bytes(int(number, base) for number in numbers)
    except ValueError:  # above 255
        return
    if len(numbers) >= packed.LEAST and (text := packed.text_of(raw)):
        yield text


def _joined(text: str) -> Iterator[str]:
    yield from _chained(re.split(_OPERATOR, text), "[\"'`\n]")


def _bold(text: str) -> Iterator[str]:
    yield from _chained(text.split("**"), "[^0-9A-Za-z ]")


def _chained(parts: list[str], end: str) -> Iterator[str]:
    """What belongs together where a text is taken apart: the end of a part with the beginning of the next, up to what
    matches `end`. The rest of the text is looked at as it stands."""
    chains = [re.split(end, parts[0])[-1]]
    for part in parts[1:]:
        head, *rest = re.split(end, part)
        chains[-1] += head
        if rest:
            chains.append(rest[-1])
    if found := _BETWEEN.join(chain for chain in chains if len(chain) >= packed.LEAST):
        yield found


def _base32(text: str) -> Iterator[str]:
    for match in BASE32.finditer(text):
        yield from packed.texts(_unpacked(base64.b32decode, match[0].upper().rstrip("="), 8))


def _base64s(text: str) -> Iterator[str]:
    for match in BASE64.finditer(text):
        if not (match[0].islower() and match[0].isalpha()):  # a long word
            yield from _base64(match[0])


FORMS: Final[tuple[tuple[str, Callable[[str], Iterator[str]]], ...]] = (
    (r"%(?:u[0-9A-Fa-f]{2})?[0-9A-Fa-f]{2}", _url),
    (r"&[#A-Za-z]", _html),
    (
        r"(?i)<(?:!--|/?(?:b|i|u|s|a|em|strong|span|font|mark|small|big|sub|sup|code|tt|wbr|bdi|bdo)\b)"
        r"|\]\]>",
        _tags,
    ),
    (_OPERATOR, _joined),
    (r"[0-9]\*\*[0-9]", _bold),
    (r"(?:[0-9]{2,3}[ ,;\r\n]{1,3}){7}[0-9]{2}", _decimals),
    (r"(?:[01]{8}[ ,\r\n]{0,2}){7}[01]{8}", _binaries),
    (r"\\(?:[uUx\"\\/nrt]|[0-3][0-7]{2})|U\+[0-9A-Fa-f]{4}", _escapes),
    (r"=(?:[0-9A-Fa-f]{2}|\r?\n)", _quoted),
    (r"[0-9OoIl](?:[ ./\-]{0,2}[0-9OoIl]){7}", _looks),
    (r"[0-9A-Fa-f]{2}(?:(?:[ :,\-]|,? ?0x|[ \t]?\r?\n[ \t]{0,8})?[0-9A-Fa-f]{2}){7}", _hexes),
    (r"[A-Z2-7]{13}|[a-z2-7]{13}", _base32),
    (r"[A-Za-z0-9+/_\-]{12}", _base64s),
)
"""What hints at a form (RE2), and what reads it, one level deep; Opaque is raised where something long is no text."""


_BLANK_ESCAPES: Final = {"n": "\n", "r": "\r", "t": "\t"}


def _escaped(match: "re.Match[str]") -> str:
    if match[5]:
        return _BLANK_ESCAPES.get(match[5], match[5])
    if match[6]:
        return chr(int(match[6], 8))
    return _character(int(match[1] or match[2] or match[3] or match[4] or match[7], 16))


def _character(code: int) -> str:
    return chr(code) if code < 0xD800 or 0xE000 <= code < 0x110000 else "\ufffd"


def _hex(found: str) -> Iterator[str]:
    digits = _HEX_NOISE.sub("", found)
    yield from packed.texts(bytes.fromhex(digits[: len(digits) & ~1]))


def _base64(found: str) -> Iterator[str]:
    lines = [line.strip("> \t\r") for line in found.split("\n")]
    if len(lines[0]) >= _WRAPPED:
        stretches = ["".join(lines)]
    else:
        stretches = lines
        if (
            len(lines) > 1
        ):  # perhaps narrow lines of one thing, perhaps words below each other: of that nothing is opaque
            yield from packed.texts(_unpacked(_either, _narrow(lines), 4))
    for stretch in stretches:
        raw = _unpacked(_either, stretch.rstrip("="), 4)
        texts = list(packed.texts(raw))
        if texts:
            yield from texts
        elif len(raw) >= LEAST_OPAQUE:
            raise Opaque
        elif _INSIDE.search(stretch):  # a path, or words with dashes: each part by itself
            for part in _INSIDE.split(stretch):
                yield from packed.texts(_unpacked(_either, part.rstrip("="), 4))


def _narrow(lines: list[str]) -> str:
    """Lines as long as the first, and a shorter one at the end."""
    end = next((n for n, line in enumerate(lines) if len(line) != len(lines[0])), len(lines))
    return "".join(lines[: end + (end < len(lines) and len(lines[end]) < len(lines[0]))]).rstrip("=")


def _either(data: str) -> bytes:
    return base64.b64decode(data.replace("-", "+").replace("_", "/"))


def _unpacked(how: Callable[[str], bytes], data: str, block: int) -> bytes:
    if len(data) * 6 < packed.LEAST * 8:
        return b""
    try:
        return how(data + "=" * (-len(data) % block))
    except (binascii.Error, ValueError):
        return b""
