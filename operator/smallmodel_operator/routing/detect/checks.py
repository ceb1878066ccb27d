"""What is checked of a match: checksums, lengths, ranges, and what a thing of that form is not. Pure."""

import base64
import ipaddress
import re
from typing import Final

from stdnum.cn import ric as cn_ric
from stdnum.eu import vat as eu_vat

_NOISE: Final = re.compile(r"[\s.\-/_+]+")


def compact(text: str) -> str:
    """Without marks between its characters, in capitals."""
    return _NOISE.sub("", text).upper()


_COUNTRIES: Final = """
AD24 AE23 AL28 AO25 AT20 AZ28 BA20 BE16 BF28 BG22 BH22 BI27 BJ28 BR29 BY28 CF27 CG27 CH21 CI28 CM27
CR22 CV25 CY28 CZ24 DE22 DJ27 DK18 DO28 DZ26 EE20 EG29 ES24 FI18 FK18 FO18 FR27 GA27 GB22 GE22 GI23
GL18 GQ27 GR27 GT28 GW25 HN28 HR21 HU28 IE22 IL23 IQ23 IR26 IS26 IT27 JO30 KM27 KW30 KZ20 LB28 LC32
LI21 LT20 LU20 LV21 LY25 MA28 MC27 MD24 ME22 MG27 MK19 ML28 MN20 MR27 MT31 MU30 MZ25 NE28 NI28 NL18
NO15 OM23 PK24 PL28 PS29 PT25 QA29 RO24 RS22 RU33 SA24 SC31 SD18 SE24 SI19 SK24 SM27 SN28 SO23 ST25
SV28 TD27 TG28 TL23 TN24 TR26 UA29 VA22 VG24 XK20 YE30
"""
_LENGTHS: Final = {word[:2]: int(word[2:]) for word in _COUNTRIES.split()}
"""Of an IBAN, by its country: SWIFT's registry, and the countries that use the form without being in it."""
COUNTRIES: Final = "|".join(rf"{code[0]}[ \t]?{code[1]}" for code in sorted(_LENGTHS))
"""Each letter of an IBAN may stand by itself."""


def iban(found: str) -> bool:
    """As long as those of its country are: what follows it in the text is no part of it."""
    digits = compact(found)
    length = _LENGTHS.get(digits[:2], 99)
    number = digits[:length]
    if len(number) < length or not number.isalnum() or not number.isascii() or sum(map(str.isdigit, number[4:])) < 6:
        return False  # a word for a country's code, a number, and a sentence
    return int("".join(str(int(c, 36)) for c in number[4:] + number[:4])) % 97 == 1


def vat(found: str) -> bool:
    """An EU VAT number, up to a place where the number may end: words in capitals may follow it."""
    ends = [n for n in range(10, len(found)) if not found[n].isalnum()]
    return any(eu_vat.is_valid(compact(found[:end])) for end in (len(found), *ends))


_NOBODYS: Final = frozenset({"127.0.0.1", "::1", "0.0.0.0", "::", "255.255.255.255"})  # noqa: S104 - nothing listens


def ip(found: str) -> bool:
    """An address of somebody's; no mask of a network."""
    try:
        address = ipaddress.ip_address(found.rstrip(".:").split("%")[0])
    except ValueError:
        return False
    return str(address) not in _NOBODYS and not str(address).startswith("255.")


def ipv6(found: str) -> bool:
    """With colons."""
    return sum(map(str.isdigit, found)) > 0 and len(found.strip(":").replace("::", ":").split(":")) > 1 and ip(found)


def mac(found: str) -> bool:
    """Not one digit, twelve times."""
    return len(set(re.sub("[^0-9a-f]", "", found.lower()))) > 1


_CODES: Final = re.compile(r"2[07]|3[0-469]|4[013-9]|5[1-8]|6[0-6]|7|8[1246]|9[0-58]")
"""Countries with codes of one and two digits, then of three."""
_CODES3: Final = re.compile(r"2[1235-9]\d|3[578]\d|42\d|50\d|59\d|6[789]\d|8[057]\d|88[0-68]|9[679]\d")


def e164(found: str) -> bool:
    """A telephone number with its country's code."""
    digits = re.sub(r"\D", "", found.replace("(0)", ""))
    digits = digits[2:] if digits.startswith("00") else digits
    if digits.startswith("1"):
        return len(digits) == 11 and digits[1] in "23456789" and digits[4] in "23456789"
    known = _CODES.match(digits) or _CODES3.match(digits)
    return bool(known) and 9 <= len(digits) <= 15 and len(set(digits)) > 2


_DATE: Final = re.compile(
    r"(?:[0-3]?\d)([./-])[01]?\d\1(?:(?:19|20)\d\d|\d\d(?![\d./-]*\d))|[0-3]?\d\.[01]?\d\.[ ]?-[ ]?[0-3]?\d\.[01]?\d\."
)
"""And a range of days."""


def national(found: str) -> bool:
    """Digits of a subscriber behind a 0, in a number a caller dials; not a date, not a padded count."""
    digits = re.sub(r"\D", "", found)
    least = 10 if found.isdigit() else 9
    return least <= len(digits) <= 12 and len(set(digits)) > 2 and not _DATE.match(found.strip("( "))


_ELSEWHERE: Final = re.compile(
    r"\$|%\(|(?:this\.|self\.)?(?:process\.env|import\.meta|os\.environ|env|vars?|secrets|config|settings|conf|options|args)\."
)
"""A variable that holds a secret."""


def secret(found: str) -> bool:
    """What is assigned looks like a secret, and not like a word, a name of a type or of a variable."""
    value = re.split(r"[:=]+>?\s*", found, maxsplit=1)[-1].strip("\"'`\\ ")
    return _mixed(value) and len(value) >= 8 and "(" not in value and not _ELSEWHERE.match(value)


def token(found: str) -> bool:
    """The same of names that are used of plainer things, too: only what no person would write."""
    value = re.split(r"[:=]+>?\s*", found, maxsplit=1)[-1].strip("\"'`\\ ")
    cases = any(map(str.isupper, value)) + any(map(str.islower, value))
    hexed = len(value) >= 20 and not value.strip("0123456789abcdef-")
    return _mixed(value) and (cases == 2 or hexed) and not _ELSEWHERE.match(value)


def bearer(found: str) -> bool:
    """Of `basic` what is a name and a password in base64; of the others what has a digit."""
    word, _, value = found.partition(" ")
    if word.lower() != "basic":
        return any(map(str.isdigit, value))
    try:
        return b":" in base64.b64decode(value + "=" * (-len(value) % 4))
    except ValueError:
        return False


def _mixed(value: str) -> bool:
    return any(map(str.isdigit, value)) and any(map(str.isalpha, value))


def nric(found: str) -> bool:
    """Singapore's: a letter at the end for the sum of the digits."""
    kind, digits, last = found[0].upper(), found[1:8], found[8].upper()
    total = sum(int(d) * w for d, w in zip(digits, (2, 7, 6, 5, 4, 3, 2), strict=True)) + 4 * (kind in "TG")
    return last == ("JZIHGFEDCBA" if kind in "ST" else "XWUTRQPNMLK")[total % 11]


def ric(found: str) -> bool:
    """China's: with a date of birth and a checksum."""
    return bool(cn_ric.is_valid(found.upper()))
