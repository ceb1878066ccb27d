"""Money as decimal numbers: read from text, written as text."""

import re
from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final

MILLION: Final = Decimal(1_000_000)
_AMOUNT: Final = re.compile(r"[0-9]{1,12}(\.[0-9]{1,9})?")
_CURRENCY: Final = re.compile(r"[A-Z]{3}")


class BadCost(ValueError):  # noqa: N818
    """Something given makes no sense; the message names the field and what would."""


def decimal(field: str, value: Any, *, above: Decimal | None = None) -> Decimal:
    """A decimal number not below 0.

    Args:
        field: what the message calls it.
        value: text of a plain number, or a whole number; a float is refused, for it is not what was written.
        above: the number must be above this one.

    Raises:
        BadCost: it is none.
    """
    text = str(value) if isinstance(value, int | Decimal) and not isinstance(value, bool) else value
    if not isinstance(text, str) or not _AMOUNT.fullmatch(text):
        hint = f'write it in quotes, like "{value}"' if isinstance(value, float) else 'like "0.45"'
        raise BadCost(f"{field} is {value!r}: give a number from 0 on as text, {hint}.")
    number = Decimal(text)
    if above is not None and number <= above:
        raise BadCost(f"{field} is {text}: give a number above {above}.")
    return number


def currency(field: str, value: Any) -> str:
    """The code of a currency.

    Raises:
        BadCost: it is none.
    """
    if not isinstance(value, str) or not _CURRENCY.fullmatch(value):
        raise BadCost(f"{field} is {value!r}: give the three letters of a currency, like EUR.")
    return value


def mapping(field: str, value: Any) -> Mapping[str, Any]:
    """A mapping.

    Raises:
        BadCost: it is none.
    """
    if not isinstance(value, Mapping):
        raise BadCost(f"{field} must be a mapping of fields.")
    return value


def whole(field: str, value: Any, low: int, high: int) -> int:
    """A whole number within bounds.

    Raises:
        BadCost: it is none.
    """
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise BadCost(f"{field} is {value!r}: give a whole number from {low} to {high}.")
    return value


def text(amount: Decimal, digits: int = 2) -> str:
    """An amount as people and machines read it: `12.30`, without exponent."""
    return f"{amount.quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP):f}"


def per_million(amount: Decimal) -> str:
    """A price of a million tokens: four digits after the point, for small models cost fractions of a cent."""
    return text(amount, 4)
