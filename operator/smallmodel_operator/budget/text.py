"""A register as the text in its ConfigMap, and back. Pure."""

import json
from dataclasses import astuple
from typing import Any

from smallmodel_operator.budget.counter import counter_of
from smallmodel_operator.budget.register import Register, Share

LARGEST_BYTES = 900_000
"""A ConfigMap holds 1 MiB."""


class TooLarge(Exception):  # noqa: N818 - says what is the matter
    """A register does not fit into its ConfigMap."""


def write(register: Register) -> str:
    """The text: shares are `[granted, used, lost, short]`.

    Raises:
        TooLarge: it does not fit.
    """
    counters = {str(c): {name: astuple(share) for name, share in s.items()} for c, s in register.counters.items()}
    value = {"holders": dict(register.holders), "counters": counters}
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    if (size := len(text.encode())) > LARGEST_BYTES:
        raise TooLarge(f"budgets take {size} bytes, {LARGEST_BYTES} fit: count fewer callers")
    return text


def read(text: str) -> Register:
    """Read it; an empty text is a register with nothing in it.

    Raises:
        ValueError: it is none.
    """
    if not text.strip():
        return Register()
    try:
        value = json.loads(text)
        holders = {_word(name): _word(journal) for name, journal in value["holders"].items()}
        counters = {
            counter_of(name): {_word(holder): Share(*map(_number, share)) for holder, share in shares.items()}
            for name, shares in value["counters"].items()
        }
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"it is no register of budgets: {error!r:.200}") from None
    return Register(holders, counters)


def _word(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f"it is no register of budgets: {value!r:.80} is no name")
    return value


def _number(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"it is no register of budgets: {value!r:.80} is no amount")
    return value
