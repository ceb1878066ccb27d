"""A prompt as the hashed n-grams the classifier looks at: single words and pairs of neighbours. Pure and quick.

The numbers are the same on every machine and in every process (CRC-32, not Python's salted hash), for a classifier is
trained in one place and decides in another.
"""

import string
from itertools import pairwise
from operator import xor
from typing import Final
from zlib import crc32

BITS: Final = 17
SIZE: Final = 1 << BITS
"""Places n-grams are hashed to; a few thousand prompts of 2 KB fill a quarter of them."""
HEAD_CHARACTERS: Final = 6144
TAIL_CHARACTERS: Final = 2048
"""What is looked at of a prompt: its beginning and its end, so that a prompt of any length costs a bounded time."""

_MASK: Final = SIZE - 1
_PARTED: Final = bytes.maketrans(
    (string.punctuation + string.digits).encode(), b" " * len(string.punctuation) + b"0" * len(string.digits)
)
"""Punctuation parts words; numbers count by their number of digits, not by their value."""
_TYPOGRAPHIC: Final = ("“", "”", "„", "«", "»", "‘", "’", "‚", "–", "—", "…", "\u00a0", "¿", "¡", "、", "。")
_KNOWN_AT_MOST: Final = 1 << 16


class _Words(dict[bytes, int]):
    """The hash of a word, remembered: prompts of one kind use the same words. Forgotten when it grows too large."""

    def __init__(self, salt: bytes) -> None:
        super().__init__()
        self._salt = salt

    def __missing__(self, word: bytes) -> int:
        if len(self) >= _KNOWN_AT_MOST:
            self.clear()
        found = self[word] = crc32(self._salt + word) & _MASK
        return found


_alone, _first, _second = _Words(b"1"), _Words(b"2"), _Words(b"3")


def words(text: str) -> list[bytes]:
    """The words of what is looked at of a prompt, in lower case and UTF-8."""
    if len(text) > HEAD_CHARACTERS + TAIL_CHARACTERS:
        text = f"{text[:HEAD_CHARACTERS]} {text[-TAIL_CHARACTERS:]}"
    text = text.lower()
    if not text.isascii():
        for mark in _TYPOGRAPHIC:
            text = text.replace(mark, " ")
    return text.encode("utf-8", "replace").translate(_PARTED).split()


def places(text: str) -> set[int]:
    """Where the n-grams of a prompt are; each counts once, however often it occurs."""
    said = words(text)
    found = set(map(_alone.__getitem__, said))
    found.update(map(xor, map(_first.__getitem__, said), map(_second.__getitem__, said[1:])))
    return found


def named(text: str) -> dict[str, int]:
    """The n-grams of a prompt as a reader knows them, and their places: what `places` has, with names."""
    said = words(text)
    found = {word: _alone[word] for word in said}
    found.update({b"%b %b" % (a, b): _first[a] ^ _second[b] for a, b in pairwise(said)})
    return {name.decode("utf-8", "replace"): place for name, place in found.items()}
