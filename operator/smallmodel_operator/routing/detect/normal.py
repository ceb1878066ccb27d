"""Texts as a reader sees them: without what is invisible, digits and letters that look alike as one. Pure."""

import re
import unicodedata
from typing import Final

_LOOK_ALIKE: Final = {
    **dict(zip("АВЕКМНОРСТХУІЈЅԚԜаеорсухіјѕԛԁһ", "ABEKMHOPCTXYIJSQWaeopcyxijsqdh", strict=True)),
    **dict(zip("ΑΒΕΖΗΙΚΜΝΟΡΤΥΧοιν", "ABEZHIKMNOPTYXoiv", strict=True)),
    **dict(zip("ᎪᎠᎬᏀᎻᏦᏞᎷᏢᎡᏚᎢᎳᏃ", "ADEGHKLMPRSTWZ", strict=True)),
    "З": "3",
    "б": "6",
    "Օ": "O",
    "օ": "o",
    "ı": "i",
    "⁄": "/",
    "∕": "/",
    "∶": ":",
    "․": ".",
    "‧": ".",
    "·": ".",
    "。": ".",
    "•": ".",
    "＠": "@",
    "﹫": "@",
}
_RINGED: Final = {
    code: str(unicodedata.digit(chr(code)))
    for first, last in (
        *((0x2474, 0x247C), (0x2488, 0x2490), (0x24FF, 0x24FF)),
        *((0x2776, 0x277E), (0x2780, 0x2788), (0x278A, 0x2792)),
    )
    for code in range(first, last + 1)
}  # fmt: skip
"""Digits in rings, brackets, or with a dot: their compatibility forms would put marks between them, or are none."""
_TAGS: Final = {code: code - 0xE0000 for code in range(0xE0020, 0xE007F)}
"""Characters that nobody sees and models read: ASCII a second time."""
_TAG: Final = re.compile("[\U000e0020-\U000e007e]")
_MARKS: Final = ("Mn", "Me")
_CONTROLS: Final = bytes(c for c in range(32) if c not in b"\t\n\r") + b"\x7f"


class _Seen(dict[int, str | None]):
    """What a character is taken for; found out once for each."""

    def __missing__(self, code: int) -> str | None:
        found = self[code] = _taken_for(chr(code))
        return found


def _taken_for(character: str) -> str | None:
    if character in _LOOK_ALIKE:
        return _LOOK_ALIKE[character]
    category = unicodedata.category(character)
    if category in ("Cf", *_MARKS) or character in "\u115f\u1160\u3164\uffa0\u2800":
        return None
    if category == "Nd":
        return str(unicodedata.decimal(character))
    if category == "Pd" or character in "\u2212\u00ad":
        return "-"
    return " " if category in ("Zs", "Zl", "Zp") else character


_seen: Final = _Seen()


def plain(text: str) -> str:
    """The text with compatibility forms, invisible characters, digits, dashes, blanks and look-alikes made plain."""
    if text.isascii():
        return text
    return unicodedata.normalize("NFKC", text.translate(_RINGED)).translate(_seen)


def forms(text: str) -> tuple[str, ...]:
    """A text as it stands and in plain characters, and without what is written over its letters where marks are: one
    form takes an accent for a part of its letter, the other for noise between the letters of a number. Tags are noise
    in these, and a text of their own."""
    if text.isascii():
        return (text,)
    if _TAG.search(text):
        return tuple(dict.fromkeys((text, *forms(_TAG.sub("", text)), *forms(text.translate(_TAGS)))))
    bare = "".join(c for c in text if unicodedata.category(c) not in _MARKS)
    return tuple(dict.fromkeys((text, plain(text), *([plain(bare)] if len(bare) < len(text) else []))))


def encoded(text: str) -> bytes:
    """UTF-8 without control characters.

    Raises:
        UnicodeEncodeError: there are halves of surrogate pairs in it.
    """
    return text.encode().translate(None, _CONTROLS)
