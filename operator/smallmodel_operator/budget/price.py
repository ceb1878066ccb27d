"""What targets outside ask for, counted in whole numbers. Pure.

A price of a million tokens has at most six digits after the point. So the price of one token is a whole number of
trillionths of its currency, and what a request costs is one, too: nothing is ever rounded, so nothing is lost or made
up by adding. Of a limit and of what is shown, millionths are enough.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

MICRO: Final = 1_000_000
"""Trillionths in a millionth."""
WHOLE: Final = MICRO * MICRO
"""Trillionths in one of a currency."""
_SHOWN: Final = 2
"""Digits after the point that are always written."""


@dataclass(frozen=True, slots=True)
class Price:
    """Of a token of a prompt, and of one that is generated, in trillionths of `currency`."""

    prompt: int
    generated: int
    currency: str

    def of(self, prompt: int, generated: int) -> int:
        """What so many tokens cost, in trillionths."""
        return prompt * self.prompt + generated * self.generated


def price_of(given: Mapping[str, Any]) -> Price:
    """`external.price` as the API server holds it.

    Raises:
        KeyError, ValueError: its schema would not let it in.
    """
    prompt, generated = (micros(given[f"{kind}PerMillionTokens"]) for kind in ("prompt", "generated"))
    return Price(prompt, generated, str(given["currency"]))


def micros(amount: str) -> int:
    """A decimal amount with at most six digits after the point, in millionths.

    Raises:
        ValueError: it is none.
    """
    whole, _, fraction = amount.partition(".")
    if not (whole + fraction).isdecimal() or len(fraction) > 6:
        raise ValueError(f"{amount!r} is no amount with at most six digits after the point")
    return int(whole) * MICRO + int(fraction.ljust(6, "0") or "0")


def trillionths(amount: str) -> int:
    """The same in trillionths, as it is counted."""
    return micros(amount) * MICRO


def shown(amount: int, currency: str) -> str:
    """An amount in trillionths as people read it: `400.00 EUR`; all its digits, two after the point at least."""
    return f"{plain(amount)} {currency}"


def plain(amount: int) -> str:
    """The same without its currency."""
    whole, rest = divmod(amount, WHOLE)
    return f"{whole}.{f'{rest:012d}'.rstrip('0').ljust(_SHOWN, '0')}"
