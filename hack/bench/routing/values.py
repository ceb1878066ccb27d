"""Made-up values of every kind the detectors know: some valid, some with a checksum that does not hold. By a seed."""

import random
import string
from collections.abc import Callable

from stdnum import iban
from stdnum.ar import cuit
from stdnum.be import nn
from stdnum.br import cpf
from stdnum.ch import ssn as ahv
from stdnum.de import idnr
from stdnum.ee import ik
from stdnum.es import dni
from stdnum.eu import vat
from stdnum.fr import nir
from stdnum.gb import nhs
from stdnum.gr import amka
from stdnum.hr import oib
from stdnum.in_ import aadhaar
from stdnum.it import codicefiscale
from stdnum.kr import rrn
from stdnum.luhn import calc_check_digit
from stdnum.lv import pvn
from stdnum.nl import bsn
from stdnum.no import fodselsnummer
from stdnum.pl import pesel
from stdnum.se import personnummer
from stdnum.th import pin
from stdnum.za import idnr as za_id

Lots = random.Random
Make = Callable[[Lots], str]


def digits(lots: Lots, number: int) -> str:
    return "".join(lots.choices(string.digits, k=number))


def _letters(lots: Lots, number: int, of: str = string.ascii_letters + string.digits) -> str:
    return "".join(lots.choices(of, k=number))


def _until(valid: Callable[[str], bool], make: Make) -> Make:
    """Made again and again until it is valid: what is tried are the checksum's own digits."""

    def made(lots: Lots) -> str:
        while not valid(value := make(lots)):
            pass
        return value

    return made


def _card(lots: Lots) -> str:
    start, length = lots.choice(
        (("4", 16), ("51", 16), ("55", 16), ("2221", 16), ("37", 15), ("6011", 16), ("3566", 16))
    )
    body = start + digits(lots, length - len(start) - 1)
    return body + calc_check_digit(body)


def _iban(lots: Lots) -> str:
    country, length = lots.choice((("DE", 18), ("AT", 16), ("NL", 10), ("BE", 12), ("ES", 20), ("PL", 24)))
    while True:
        body = ("INGB" if country == "NL" else "") + digits(lots, length)
        value = sum(int(c, 36) * 0 for c in body) or int("".join(str(int(c, 36)) for c in f"{body}{country}00"))
        found = f"{country}{98 - value % 97:02d}{body}"
        if iban.is_valid(found):
            return found


def _date(lots: Lots) -> str:
    return f"{lots.randrange(50, 100):02d}{lots.randrange(1, 13):02d}{lots.randrange(1, 29):02d}"


def _born(lots: Lots) -> str:
    """Day first, of a year whose two digits are of the last century."""
    date = _date(lots)
    return date[4:] + date[2:4] + date[:2]


def _parted(form: str, value: str) -> str:
    """Digits where the form has a #."""
    rest = iter(value)
    return "".join(next(rest) if mark == "#" else mark for mark in form)


def _fr(lots: Lots) -> str:
    body = f"{lots.choice('12')}{lots.randrange(50, 99)}{lots.randrange(1, 13):02d}{lots.randrange(10, 90)}{digits(lots, 6)}"
    return f"{body}{97 - int(body) % 97:02d}"


def _be(lots: Lots) -> str:
    body = _date(lots) + f"{lots.randrange(1, 998):03d}"
    return f"{body}{97 - int(body) % 97:02d}"


def _it(lots: Lots) -> str:
    name = _letters(lots, 6, "BCDFGLMNPRSTV")
    body = f"{name}{lots.randrange(50, 99)}{lots.choice('ABCDEHLMPRST')}{lots.randrange(10, 29)}{lots.choice('ABCDEFGHIL')}{digits(lots, 3)}"
    return body + codicefiscale.calc_check_digit(body)


def _dni(lots: Lots) -> str:
    body = digits(lots, 8)
    return body + dni.calc_check_digit(body)


def _mail(lots: Lots) -> str:
    return f"{_letters(lots, 6, string.ascii_lowercase)}.{_letters(lots, 5, string.ascii_lowercase)}@{_letters(lots, 7, string.ascii_lowercase)}.{lots.choice(('de', 'com', 'co.uk'))}"


def _ssn(lots: Lots) -> str:
    return f"{lots.randrange(100, 665)}-{lots.randrange(10, 99)}-{lots.randrange(1000, 9999)}"


def _phone(lots: Lots) -> str:
    return lots.choice(
        (
            f"+49 171 {digits(lots, 7)}",
            f"+44 20 7{digits(lots, 3)} {digits(lots, 4)}",
            f"(415) 5{digits(lots, 2)}-{digits(lots, 4)}",
            f"+1 212 5{digits(lots, 2)} {digits(lots, 4)}",
        )
    )


VALID: dict[str, Make] = {
    "CreditCard": _card,
    "Iban": _iban,
    "UsSsn": _ssn,
    "DeTaxId": _until(idnr.is_valid, lambda lots: lots.choice("123456789") + digits(lots, 10)),
    "FrNir": _until(nir.is_valid, _fr),
    "BeNationalNumber": _until(nn.is_valid, _be),
    "ItCodiceFiscale": _until(codicefiscale.is_valid, _it),
    "EsDni": _dni,
    "PlPesel": _until(pesel.is_valid, lambda lots: _date(lots) + digits(lots, 5)),
    "NlBsn": _until(bsn.is_valid, lambda lots: lots.choice("123456789") + digits(lots, 8)),
    "UkNhs": _until(nhs.is_valid, lambda lots: lots.choice("4679") + digits(lots, 9)),
    "SePersonnummer": _until(personnummer.is_valid, lambda lots: f"{_date(lots)}-{digits(lots, 4)}"),
    "ChAhv": _until(ahv.is_valid, lambda lots: _parted("756.####.####.##", digits(lots, 10))),
    "NoFodselsnummer": _until(fodselsnummer.is_valid, lambda lots: _born(lots) + digits(lots, 5)),
    "LvPersonasKods": _until(pvn.is_valid, lambda lots: f"{_born(lots)}-1{digits(lots, 4)}"),
    "ZaId": _until(za_id.is_valid, lambda lots: f"{_date(lots)}{digits(lots, 4)}08{digits(lots, 1)}"),
    "KrRrn": _until(rrn.is_valid, lambda lots: f"{_date(lots)}-{lots.choice('12')}{digits(lots, 6)}"),
    "BrCpf": _until(cpf.is_valid, lambda lots: _parted("###.###.###-##", digits(lots, 11))),
    "ArCuit": _until(cuit.is_valid, lambda lots: f"{lots.choice(('20', '27'))}-{digits(lots, 8)}-{digits(lots, 1)}"),
    "InAadhaar": _until(aadhaar.is_valid, lambda lots: _parted("#### #### ####", digits(lots, 12))),
    "ThPin": _until(pin.is_valid, lambda lots: _parted("#-####-#####-##-#", digits(lots, 13))),
    "EuVat": _until(
        vat.is_valid, lambda lots: lots.choice(("DE", "ATU", "PL")) + digits(lots, lots.choice((8, 9, 10)))
    ),
    "EmailAddress": _mail,
    "PhoneNumber": _phone,
    "IpAddress": lambda lots: ".".join(str(lots.randrange(1, 255)) for _ in range(4)),
    "MacAddress": lambda lots: ":".join(f"{lots.randrange(1, 255):02x}" for _ in range(6)),
    "AwsKey": lambda lots: "AKIA" + _letters(lots, 16, string.ascii_uppercase + string.digits),
    "GitHubToken": lambda lots: "ghp_" + _letters(lots, 36),
    "ModelApiKey": lambda lots: "sk-proj-" + _letters(lots, 40),
    "Jwt": lambda lots: f"eyJ{_letters(lots, 30)}.eyJ{_letters(lots, 60)}.{_letters(lots, 43)}",
    "PrivateKey": lambda lots: f"-----BEGIN {lots.choice(('RSA ', 'EC ', ''))}PRIVATE KEY-----\n{_letters(lots, 48)}",
}
"""Kinds and how a valid one comes about."""


def _wrong(make: Make) -> Make:
    """One digit off, so that the checksum does not hold."""

    def made(lots: Lots) -> str:
        value = make(lots)
        at = max(n for n, c in enumerate(value) if c.isdigit())
        return f"{value[:at]}{(int(value[at]) + lots.randrange(1, 9)) % 10}{value[at + 1 :]}"

    # What is no PESEL may still be somebody's Belgian number: then it is not clean.
    others = (
        pesel.is_valid, nn.is_valid, idnr.is_valid, nir.is_valid, oib.is_valid, amka.is_valid, ik.is_valid,
        fodselsnummer.is_valid, pvn.is_valid,
    )  # fmt: skip
    return _until(lambda value: not any(valid(value) for valid in others), made)


INVALID: dict[str, Make] = {
    **{
        name: _wrong(VALID[name])
        for name in (
            "CreditCard",
            "Iban",
            "FrNir",
            "BeNationalNumber",
            "ItCodiceFiscale",
            "EsDni",
            "PlPesel",
            "DeTaxId",
        )
    },
    "UsSsn": lambda lots: f"000-{digits(lots, 2)}-{digits(lots, 4)}",
    "IpAddress": lambda lots: (
        f"{lots.randrange(256, 999)}.{lots.randrange(256, 999)}.{digits(lots, 1)}.{digits(lots, 1)}"
    ),
}
"""Those that only a checksum or a rule tells from valid ones."""

PLAIN: dict[str, Make] = {
    "order": lambda lots: f"order {lots.choice('ABC')}-{digits(lots, 6)}",
    "date": lambda lots: (
        f"20{lots.randrange(10, 30)}-{lots.randrange(1, 13):02d}-{lots.randrange(1, 29):02d} {lots.randrange(24):02d}:{lots.randrange(60):02d}:{lots.randrange(60):02d}"
    ),
    "price": lambda lots: f"{lots.randrange(1, 999)},{digits(lots, 3)}.{digits(lots, 2)} EUR",
    "version": lambda lots: f"version {lots.randrange(9)}.{lots.randrange(20)}.{lots.randrange(40)}",
    "commit": lambda lots: _letters(lots, 40, "0123456789abcdef"),
    "uuid": lambda lots: "-".join(_letters(lots, n, "0123456789abcdef") for n in (8, 4, 4, 4, 12)),
    "years": lambda lots: (
        f"in {lots.randrange(1900, 2000)}, {lots.randrange(1900, 2000)} and {lots.randrange(2000, 2030)}"
    ),
    "code": lambda lots: f"for i in range({digits(lots, 3)}): total += prices[i] * {lots.random():.6f}",
    "path": lambda lots: (
        f"/usr/lib/{_letters(lots, 8, string.ascii_lowercase)}/{_letters(lots, 12, string.ascii_lowercase)}.so.{digits(lots, 1)}"
    ),
    "words": lambda lots: lots.choice(
        (
            "internationalization of straightforward responsibilities",
            "Größenordnung der Überraschung",
            "L'été à l'hôpital",
        )
    ),
}
"""What has digits and long words, and is nobody's."""
