"""Numbers in a text that are somebody's: cards, identities, telephones. By checksum and shape. Pure.

A run is digits with a few marks between them ("4111 1111-1111 1111 12/28"). Within it every stretch of groups in a
shape that a number is written in is tried, and every stretch that is parted evenly, however it is grouped. Where a
checksum holds by chance too often, words before the number have to tell what it is.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain, pairwise
from typing import Final

from stdnum import luhn
from stdnum.ar import cuit
from stdnum.at import vnr
from stdnum.au import tfn
from stdnum.be import nn
from stdnum.bg import egn
from stdnum.br import cpf
from stdnum.ca import sin
from stdnum.ch import ssn as ahv
from stdnum.cz import rc
from stdnum.de import idnr
from stdnum.dk import cpr
from stdnum.ee import ik
from stdnum.fr import nir
from stdnum.gb import nhs
from stdnum.gr import amka
from stdnum.hr import oib
from stdnum.il import idnr as teudat_zehut
from stdnum.in_ import aadhaar
from stdnum.jp import in_ as my_number
from stdnum.kr import rrn
from stdnum.lv import pvn
from stdnum.nl import bsn
from stdnum.no import fodselsnummer
from stdnum.pl import pesel
from stdnum.pt import nif
from stdnum.ro import cnp
from stdnum.ru import inn
from stdnum.se import personnummer
from stdnum.th import pin
from stdnum.tr import tckimlik
from stdnum.us import itin, ssn
from stdnum.za import idnr as za_id

MOST_DIGITS: Final = 19
RUN: Final = re.compile(r"[0-9](?:[ \t\r\n.\-_/|:,*()+~]{0,3}[0-9])*")
LEAST_RUN: Final = 9
_GROUP: Final = re.compile(r"[0-9]+")
_BEFORE: Final = 48
"""Characters before a number in which a word may say what it is."""
MOST_CANDIDATES: Final = 20_000
Shape = tuple[int, ...]


class TooMany(Exception):  # noqa: N818 - says what is the matter
    """There are more numbers in a text than are checked."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A number by its checksum, the shapes it is written in, and (`words`) what must stand before it."""

    name: str
    valid: Callable[[str], bool]
    shapes: frozenset[Shape]
    words: "re.Pattern[str] | None" = None


def _card(digits: str) -> bool:
    """Issuer's range and length, and Luhn's checksum."""
    n, two, three, four = len(digits), int(digits[:2]), int(digits[:3]), int(digits[:4])
    known = (
        (digits[0] == "4" and n in (13, 16, 19))
        or (n == 16 and (51 <= two <= 55 or 2221 <= four <= 2720))
        or (n == 15 and two in (34, 37))
        or (n >= 16 and (four == 6011 or two == 65 or 644 <= three <= 649 or 3528 <= four <= 3589 or two == 62))
        or (n in (14, 16) and (300 <= three <= 305 or two in (36, 38, 39)))
        or (n >= 13 and (two in (50, 56, 57, 58, 63, 67) and n in (16, 18, 19)))
        or (n == 16 and (2200 <= four <= 2204))
    )
    return known and luhn.is_valid(digits) and len(set(digits)) > 1


def _valid(module: Callable[[str], bool], digits: str) -> bool:
    return len(set(digits)) > 1 and module(digits)


def _dated(module: Callable[[str], bool], digits: str) -> bool:
    """With a date of birth, and no other checksum to speak of."""
    return _valid(module, f"{digits[:6]}-{digits[6:]}")


def _aadhaar(digits: str) -> bool:
    """Three years in a row are none."""
    years = all(1900 <= int(digits[at : at + 4]) <= 2099 for at in (0, 4, 8))
    return not years and aadhaar.is_valid(digits)


def _lv(digits: str) -> bool:
    """A person's: companies' begin with a larger digit."""
    return digits[0] in "0123" and pvn.is_valid(digits)


def _snils(digits: str) -> bool:
    """By the rule of Russia's pension fund; the first million numbers have no checksum."""
    weighed = sum(int(digit) * weight for digit, weight in zip(digits, range(9, 0, -1), strict=False))
    return int(digits[:9]) > 1_001_998 and weighed % 101 % 100 == int(digits[9:])


def _shapes(*shapes: str) -> frozenset[Shape]:
    return frozenset(tuple(map(int, shape.split("-"))) for shape in " ".join(shapes).split())


def _words(words: str) -> "re.Pattern[str]":
    return re.compile(rf"(?:{words})", re.I)


_V: Final = partial
_SIN: Final = _words(r"(?-i:\b(?:SIN|NAS)\b)|\bsin (?:number|no\b)|social.?insurance|assurance.?sociale")
_JAPAN: Final = _words(r"my.?number|individual.?number|マイナンバ|個人番号")
_SSN: Final = _words(r"\bssn\b|social.?security|tax.?id|\bitin\b|taxpayer")
_PHONE_WORDS: Final = _words(
    r"phone|\btel\b|telef|\bcall|mobile|\bcell|\bfax\b|whatsapp|\bsms\b|\btext me|handy|rufnummer|num[eé]ro|reach me"
)
_CARD_SHAPES: Final = "13 14 15 16 18 19 4-4-4-4 4-6-5 4-6-4 4-4-4-4-3 4-4-4-4-2 4-4-5 6-10 6-13 8-8 4-4-4-1"
KINDS: Final = (
    Kind("CreditCard", _card, _shapes(_CARD_SHAPES)),
    Kind("UsSsn", _V(_valid, ssn.is_valid), _shapes("3-2-4")),
    Kind("UsSsn", _V(_valid, ssn.is_valid), _shapes("9", "3-3-3"), _SSN),
    Kind("UsItin", _V(_valid, itin.is_valid), _shapes("3-2-4")),
    Kind("UsItin", _V(_valid, itin.is_valid), _shapes("9"), _SSN),
    Kind("UkNhs", _V(_valid, nhs.is_valid), _shapes("10", "3-3-4")),
    Kind("DeTaxId", _V(_valid, idnr.is_valid), _shapes("11", "2-3-3-3")),
    Kind("FrNir", _V(_valid, nir.is_valid), _shapes("15", "13-2", "1-2-2-2-3-3-2", "1-2-2-5-3-2", "1-2-2-8-2")),
    Kind("PlPesel", _V(_valid, pesel.is_valid), _shapes("11")),
    Kind("NlBsn", _V(_valid, bsn.is_valid), _shapes("9", "4-2-3")),
    Kind("BeNationalNumber", _V(_valid, nn.is_valid), _shapes("11", "2-2-2-3-2", "6-3-2")),
    Kind("SePersonnummer", _V(_valid, personnummer.is_valid), _shapes("10", "12", "6-4", "8-4")),
    Kind("AtSocialInsurance", _V(_valid, vnr.is_valid), _shapes("10", "4-6")),
    Kind("CzBirthNumber", _V(_valid, rc.is_valid), _shapes("10", "6-4")),
    Kind("DkCpr", _V(_dated, cpr.is_valid), _shapes("6-4")),
    Kind("DkCpr", _V(_dated, cpr.is_valid), _shapes("10"), _words(r"\bcpr")),
    Kind("RoCnp", _V(_valid, cnp.is_valid), _shapes("13")),
    Kind("EeIsikukood", _V(_valid, ik.is_valid), _shapes("11")),
    Kind("GrAmka", _V(_valid, amka.is_valid), _shapes("11", "6-5")),
    Kind("BgEgn", _V(_valid, egn.is_valid), _shapes("10")),
    Kind("HrOib", _V(_valid, oib.is_valid), _shapes("11"), _words(r"\boib")),
    Kind("PtNif", _V(_valid, nif.is_valid), _shapes("9", "3-3-3"), _words(r"\bnif\b|contribuinte|tax")),
    Kind("ChAhv", _V(_valid, ahv.is_valid), _shapes("13", "3-4-4-2")),
    Kind("NoFodselsnummer", _V(_valid, fodselsnummer.is_valid), _shapes("11", "6-5")),
    Kind("LvPersonasKods", _V(_valid, _lv), _shapes("11", "6-5")),
    Kind("ZaId", _V(_valid, za_id.is_valid), _shapes("13", "6-4-2-1", "6-4-3")),
    Kind("KrRrn", _V(_valid, rrn.is_valid), _shapes("6-7")),
    Kind("KrRrn", _V(_valid, rrn.is_valid), _shapes("13"), _words(r"\brrn\b|resident|주민")),
    Kind("BrCpf", _V(_valid, cpf.is_valid), _shapes("3-3-3-2", "9-2")),
    Kind("BrCpf", _V(_valid, cpf.is_valid), _shapes("11"), _words(r"\bcpf")),
    Kind("ArCuit", _V(_valid, cuit.is_valid), _shapes("2-8-1")),
    Kind("ArCuit", _V(_valid, cuit.is_valid), _shapes("11"), _words(r"\bcui[tl]\b")),
    Kind("RuSnils", _V(_valid, _snils), _shapes("3-3-3-2")),
    Kind("RuSnils", _V(_valid, _snils), _shapes("11"), _words(r"snils|[cс]нил[cс]|chил[cс]")),
    Kind("RuInn", _V(_valid, inn.is_valid), _shapes("12"), _words(r"\binn\b|и(?:нн|hh)\b")),
    Kind("TrKimlik", _V(_valid, tckimlik.is_valid), _shapes("11", "3-3-3-2"), _words(r"kimlik|\bt\.?c\.?\b|\btckn?")),
    Kind("InAadhaar", _V(_valid, _aadhaar), _shapes("4-4-4")),
    Kind("InAadhaar", _V(_valid, _aadhaar), _shapes("12"), _words(r"aa?dhaa?r|uidai|आधार")),
    Kind("ThPin", _V(_valid, pin.is_valid), _shapes("1-4-5-2-1")),
    Kind("ThPin", _V(_valid, pin.is_valid), _shapes("13"), _words(r"\bthai|citizen|บั?ตร|ประชาชน")),
    Kind("CaSin", _V(_valid, sin.is_valid), _shapes("9", "3-3-3"), _SIN),
    Kind("AuTfn", _V(_valid, tfn.is_valid), _shapes("9", "3-3-3"), _words(r"\btfn\b|tax.?file")),
    Kind("IlId", _V(_valid, teudat_zehut.is_valid), _shapes("9"), _words(r"teudat|zehut|israeli? id|זהות|ת[\"״.]?ז")),
    Kind("JpMyNumber", _V(_valid, my_number.is_valid), _shapes("12", "4-4-4"), _JAPAN),
)  # fmt: skip
_BY_SHAPE_ALONE: Final = frozenset({"UsSsn", "UsItin", "DkCpr", "ThPin", "InAadhaar"})
"""Without a checksum, or with one that holds by chance too often: parted in another way they are not told."""
_BY_SHAPE: Final[dict[Shape, list[Kind]]] = {}
_BY_LENGTH: Final[dict[int, list[Kind]]] = {}
for _kind in KINDS:
    for _shape in _kind.shapes:
        _BY_SHAPE.setdefault(_shape, []).append(_kind)
    for _length in {sum(shape) for shape in _kind.shapes} if _kind.words or _kind.name not in _BY_SHAPE_ALONE else ():
        _BY_LENGTH.setdefault(_length, []).append(_kind)
Candidate = tuple[list[Kind], str, int]
_CARDS: Final = {length: [k for k in kinds if k.name == "CreditCard"] for length, kinds in _BY_LENGTH.items()}
_HEX: Final = frozenset("abcdefABCDEF_")
_APART: Final = frozenset(",:|*()~\t\r\n")
_NONE: Final[Shape] = ()
_MOST_GROUPS: Final = max(map(len, _BY_SHAPE))


def found(text: str) -> Iterator[str]:
    """Names of the kinds of numbers in a plain text (see normal.py), as often as they occur.

    Raises:
        TooMany: it holds so many that checking them would take long.
    """
    return (name for name, _ in placed(text))


def placed(text: str) -> Iterator[tuple[str, tuple[int, int]]]:
    """The same, each with where its run begins and ends.

    Raises:
        TooMany: as above.
    """
    tried = 0
    for run in RUN.finditer(text):
        groups = list(_GROUP.finditer(text, run.start(), run.end()))
        if sum(len(group[0]) for group in groups) < LEAST_RUN:
            continue
        for kinds, digits, start in chain(_by_shape(text, groups), _evenly_parted(text, groups)):
            tried += 1
            if tried > MOST_CANDIDATES:
                raise TooMany
            for kind in kinds:
                if kind.valid(digits) and (
                    kind.words is None or kind.words.search(text, max(0, start - _BEFORE), start)
                ):
                    yield kind.name, run.span()


def _by_shape(text: str, groups: "list[re.Match[str]]") -> Iterator[Candidate]:
    """Every stretch of groups that has the shape of a number."""
    for first, begin in enumerate(groups):
        digits, shape = "", _NONE
        for group in groups[first : first + _MOST_GROUPS]:
            digits, shape = digits + group[0], (*shape, len(group[0]))
            if len(digits) > MOST_DIGITS or (len(shape) > 1 and ", " in text[begin.start() : group.end()]):
                break
            if kinds := _BY_SHAPE.get(shape):
                other = _is_other(text, begin.start(), group.end())
                yield (_CARDS.get(len(digits), []) if other else kinds), digits, begin.start()


def _evenly_parted(text: str, groups: "list[re.Match[str]]") -> Iterator[Candidate]:
    """Stretches of groups with the same mark between all of them: parted in unusual places. Of the run as a whole,
    whatever its marks, only a card: prices, dates and times have as many digits as other numbers."""
    marks = [text[a.end() : b.start()] for a, b in pairwise(groups)]
    first = 0
    for number in range(1, len(marks) + 1):
        if number == len(marks) or marks[number] != marks[first]:
            yield from _stretch(groups[first : number + 1], marks[first], _BY_LENGTH)
            first = number
    if len(set(marks)) > 1:
        yield from _stretch(groups, "", _CARDS)


def _stretch(groups: "list[re.Match[str]]", mark: str, kinds: dict[int, list[Kind]]) -> Iterator[Candidate]:
    shape = tuple(len(group[0]) for group in groups)
    thousands = mark in (".", ",", " ") and shape[0] <= 3 and set(shape[1:]) == {3}
    fraction = mark in (".", ",") and len(shape) == 2
    if len(shape) < 2 or sum(shape) > MOST_DIGITS or thousands or fraction or mark == ", " or shape in _BY_SHAPE:
        return
    yield kinds.get(sum(shape), []), "".join(group[0] for group in groups), groups[0].start()


def _is_other(text: str, start: int, end: int) -> bool:
    """Whether the digits are a part of a hash, of a fraction, or several numbers (but a card may be written so)."""
    before = text[max(0, start - 2) : start]
    hashed = before[-1:] in _HEX or text[end : end + 1] in _HEX
    fraction = len(before) == 2 and before[1] in ".," and before[0].isdigit()
    return hashed or fraction or not _APART.isdisjoint(text[start:end])
