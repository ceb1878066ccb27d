"""Addresses, identities with letters, and secrets: a pattern each, and what is checked of a match. Pure.

The patterns are RE2's, so each takes time linear in the text. `word`: no letter or digit stands beside a match.
"""

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from stdnum.es import dni, nie
from stdnum.eu import vat
from stdnum.fi import hetu
from stdnum.ie import pps
from stdnum.it import codicefiscale

PII, PCI, SECRETS = "Pii", "Pci", "Secrets"


@dataclass(frozen=True, slots=True)
class Pattern:
    """`valid` is asked of each match; it may be given more than the number itself and find it."""

    name: str
    detector: str
    pattern: str
    valid: Callable[[str], bool] | None = None
    word: bool = False


_NOISE: Final = re.compile(r"[\s.\-/_]+")


def _compact(text: str) -> str:
    return _NOISE.sub("", text).upper()


_LENGTHS: Final = {
    word[:2]: int(word[2:])
    for word in [
        "AD24",
        "AE23",
        "AL28",
        "AT20",
        "AZ28",
        "BA20",
        "BE16",
        "BG22",
        "BH22",
        "BR29",
        "BY28",
        "CH21",
        "CR22",
        "CY28",
        "CZ24",
        "DE22",
        "DK18",
        "DO28",
        "EE20",
        "EG29",
        "ES24",
        "FI18",
        "FO18",
        "FR27",
        "GB22",
        "GE22",
        "GI23",
        "GL18",
        "GR27",
        "GT28",
        "HR21",
        "HU28",
        "IE22",
        "IL23",
        "IQ23",
        "IS26",
        "IT27",
        "JO30",
        "KW30",
        "KZ20",
        "LB28",
        "LC32",
        "LI21",
        "LT20",
        "LU20",
        "LV21",
        "LY25",
        "MC27",
        "MD24",
        "ME22",
        "MK19",
        "MR27",
        "MT31",
        "MU30",
        "NL18",
        "NO15",
        "PK24",
        "PL28",
        "PS29",
        "PT25",
        "QA29",
        "RO24",
        "RS22",
        "SA24",
        "SC31",
        "SD18",
        "SE24",
        "SI19",
        "SK24",
        "SM27",
        "ST25",
        "SV28",
        "TL23",
        "TN24",
        "TR26",
        "UA29",
        "VA22",
        "VG24",
        "XK20",
    ]
}


def _iban(found: str) -> bool:
    """As long as those of its country are: what follows it in the text is no part of it."""
    digits = _compact(found)
    length = _LENGTHS.get(digits[:2], 99)
    number = digits[:length]
    if len(number) < length or not number.isalnum() or not number.isascii():
        return False
    return int("".join(str(int(c, 36)) for c in number[4:] + number[:4])) % 97 == 1


def _vat(found: str) -> bool:
    """Up to a place where the number may end: words in capitals may follow it."""
    ends = [n for n in range(10, len(found)) if not found[n].isalnum()]
    return any(vat.is_valid(_compact(found[:end])) for end in (len(found), *ends))


_NOBODYS: Final = frozenset({"127.0.0.1", "::1", "0.0.0.0", "::", "255.255.255.255"})  # noqa: S104 - nothing listens


def _ip(found: str) -> bool:
    try:
        address = ipaddress.ip_address(found.rstrip(".:").split("%")[0])
    except ValueError:
        return False
    return str(address) not in _NOBODYS


def _ipv6(found: str) -> bool:
    return sum(map(str.isdigit, found)) > 0 and len(found.strip(":").replace("::", ":").split(":")) > 1 and _ip(found)


def _mac(found: str) -> bool:
    return len(set(re.sub("[^0-9a-f]", "", found.lower()))) > 1


_CODES: Final = re.compile(r"2[07]|3[0-469]|4[013-9]|5[1-8]|6[0-6]|7|8[1246]|9[0-58]")
"""Countries with codes of one and two digits, then of three."""
_CODES3: Final = re.compile(r"2[1235-9]\d|3[578]\d|42\d|50\d|59\d|6[789]\d|8[057]\d|88[0-68]|9[679]\d")


def _e164(found: str) -> bool:
    digits = re.sub(r"\D", "", found.replace("(0)", ""))
    digits = digits[2:] if digits.startswith("00") else digits
    if digits.startswith("1"):
        return len(digits) == 11 and digits[1] in "23456789" and digits[4] in "23456789"
    known = _CODES.match(digits) or _CODES3.match(digits)
    return bool(known) and 9 <= len(digits) <= 15 and len(set(digits)) > 2


_DATE: Final = re.compile(r"\d{1,2}([./-])\d{1,2}\1(?:\d{4}|\d{2}\b)")


def _national(found: str) -> bool:
    """Digits of a subscriber behind a 0, in a number a caller dials; not a date, not a padded count."""
    digits = re.sub(r"\D", "", found)
    least = 10 if found.isdigit() else 9
    return least <= len(digits) <= 12 and len(set(digits)) > 2 and not _DATE.match(found.strip("( "))


def _secret(found: str) -> bool:
    """What is assigned looks like a secret, and not like a word, a name of a type or of a variable."""
    value = re.split(r"[:=]+>?\s*", found, maxsplit=1)[-1].strip("\"'`\\ ")
    return len(value) >= 8 and any(map(str.isdigit, value)) and any(map(str.isalpha, value)) and "(" not in value


_VAT_COUNTRIES: Final = "AT|BE|BG|CY|CZ|DE|DK|EE|EL|ES|FI|FR|HR|HU|IE|IT|LT|LU|LV|MT|NL|PL|PT|RO|SE|SI|SK"
_S: Final = r"[ .\-]?"
_MAIL: Final = r"[\pL\pN._%+\-]{1,64}"
_HOST: Final = r"(?:[\pL\pN][\pL\pN-]{0,62}\.)+\pL{2,24}"

PATTERNS: Final = (
    Pattern("Iban", PII, r"[A-Za-z]{2}[ .\-]?[0-9]{2}(?:[ .\-]{0,2}[A-Za-z]){0,4}[ .\-]{0,2}[0-9](?:[ .\-]{0,2}[A-Za-z0-9]){9,29}", _iban),
    Pattern("EmailAddress", PII, rf"{_MAIL}@{_HOST}"),
    Pattern("EmailAddress", PII, rf"(?i){_MAIL} ?(?:\[at\]|\(at\)|\{{at\}}|<at>) ?[\pL\pN-]+(?: ?(?:\.|\[dot\]|\(dot\)) ?[\pL\pN-]+)+"),
    Pattern("EmailAddress", PII, r"(?i)[a-z0-9._%+\-]{1,64} at [a-z0-9-]{1,63}(?: dot [a-z0-9-]{2,24})+"),
    Pattern("PhoneNumber", PII, r"(?:\+ ?|\b00)[1-9](?:[ ().\-/]{0,3}[0-9]){7,15}", _e164),
    Pattern("PhoneNumber", PII, r"(?:\b0[1-9]|\(0[1-9])[0-9]{0,4}\)?(?:[ .\-/]{0,3}[0-9]{2,8}){1,5}", _national, word=True),
    Pattern("PhoneNumber", PII, r"(?:\b1[\-. ])?(?:\([2-9][0-9]{2}\) ?|\b[2-9][0-9]{2}[\-.])[2-9][0-9]{2}[\-. ][0-9]{4}", word=True),
    Pattern("PhoneNumber", PII, r"(?i)(?:phone|tel|call|mobile|cell|fax|whatsapp|sms|text)(?:[a-z]{0,6}| me| us)?(?: number| no\.?)?(?: is| at| on)?[ :=#]{1,3}\(?[2-9][0-9]{2}\)?[ .\-]?[2-9][0-9]{2}[ .\-]?[0-9]{4}", word=True),
    Pattern("IpAddress", PII, r"[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}", _ip, word=True),
    Pattern("IpAddress", PII, r"[0-9A-Fa-f]{0,4}:[0-9A-Fa-f:]{0,34}:[0-9A-Fa-f.]{0,15}", _ipv6, word=True),
    Pattern("MacAddress", PII, r"[0-9A-Fa-f]{2}(?:[:\-][0-9A-Fa-f]{2}){5}|[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4}", _mac, word=True),
    Pattern("EsDni", PII, rf"[0-9]{{2}}{_S}[0-9]{{3}}{_S}[0-9]{{3}}{_S}[A-Za-z]", lambda m: dni.is_valid(_compact(m)), word=True),
    Pattern("EsNie", PII, rf"[XYZxyz]{_S}[0-9]{{7}}{_S}[A-Za-z]", lambda m: nie.is_valid(_compact(m)), word=True),
    Pattern("ItCodiceFiscale", PII, rf"[A-Za-z]{{3}}{_S}[A-Za-z]{{3}}{_S}[0-9A-Za-z]{{2}}[A-Za-z][0-9A-Za-z]{{2}}{_S}[A-Za-z][0-9A-Za-z]{{3}}[A-Za-z]", lambda m: codicefiscale.is_valid(_compact(m)), word=True),
    Pattern("FiHetu", PII, r"[0-9]{6}[+\-A-FYXWVUa-fyxwvu][0-9]{3}[0-9A-Za-z]", lambda m: hetu.is_valid(m), word=True),
    Pattern("IePps", PII, r"[0-9]{7}[A-Wa-w][A-IWa-iw]?", lambda m: pps.is_valid(m), word=True),
    Pattern("UkNino", PII, r"(?i)[abceghj-prstw-z][abceghj-nprstw-z] ?[0-9]{2} ?[0-9]{2} ?[0-9]{2} ?[a-d]", word=True),
    Pattern("EuVat", PII, rf"\b(?:{_VAT_COUNTRIES}){_S}[0-9A-Z](?:{_S}[0-9A-Z]){{7,12}}", _vat),
    Pattern("PrivateKey", SECRETS, r"-----BEGIN [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----"),
    Pattern("Jwt", SECRETS, r"eyJ[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-]{0,}\.[A-Za-z0-9_\-]{8,}"),
    Pattern("AwsKey", SECRETS, r"(?:AKIA|ASIA|AGPA|AIDA|AROA|ANPA)[A-Z0-9]{16}", word=True),
    Pattern("GitHubToken", SECRETS, r"gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{22,}"),
    Pattern("GitLabToken", SECRETS, r"gl(?:pat|ptt|dt|rt|soat|cbt)-[A-Za-z0-9_\-]{20,}"),
    Pattern("SlackToken", SECRETS, r"xox[abeoprs]-[A-Za-z0-9-]{10,}|xapp-[0-9]-[A-Za-z0-9-]{10,}|hooks\.slack\.com/services/[A-Za-z0-9/]{20,}"),
    Pattern("StripeKey", SECRETS, r"(?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]{16,}|whsec_[A-Za-z0-9]{20,}"),
    Pattern("GoogleKey", SECRETS, r"AIza[A-Za-z0-9_\-]{35}|ya29\.[A-Za-z0-9_\-]{20,}|GOCSPX-[A-Za-z0-9_\-]{20,}"),
    Pattern("ModelApiKey", SECRETS, r"sk-(?:proj-|ant-|or-|svcacct-)?[A-Za-z0-9_\-]{20,}|hf_[A-Za-z0-9]{30,}|gsk_[A-Za-z0-9]{30,}|r8_[A-Za-z0-9]{30,}"),
    Pattern("PackageToken", SECRETS, r"npm_[A-Za-z0-9]{36}|pypi-[A-Za-z0-9_\-]{50,}|dckr_pat_[A-Za-z0-9_\-]{20,}|hvs\.[A-Za-z0-9_\-]{20,}"),
    Pattern("MailToken", SECRETS, r"SG\.[A-Za-z0-9_\-]{16,}\.[A-Za-z0-9_\-]{16,}|key-[0-9a-f]{32}|[0-9]{8,10}:AA[A-Za-z0-9_\-]{33}|SK[0-9a-f]{32}"),
    Pattern("PasswordInUrl", SECRETS, r"[a-z][a-z0-9+.\-]{1,20}://[^\s:/@]{1,64}:[^\s:/@]{1,128}@[^\s/]"),
    Pattern("AssignedSecret", SECRETS, r"(?i)(?:passwor[dt]|passwd|passphrase|pwd|secret|api[_\- ]?key|access[_\- ]?key|auth[_\- ]?token|access[_\- ]?token|refresh[_\- ]?token|client[_\- ]?secret|account[_\- ]?key|private[_\- ]?key|credential)s?[\"'\\`]{0,3}(?: is)?[ \t]{0,3}(?::=|=>|:|=| )[ \t]{0,3}[\"'\\`]{0,3}[^\s\"'`\\<>{},;]{8,200}", _secret),
    Pattern("BearerToken", SECRETS, r"(?i)(?:bearer|basic|token) [A-Za-z0-9_\-.~+/]{16,}={0,2}", lambda m: any(map(str.isdigit, m))),
)  # fmt: skip
