"""Money in whole numbers: no amount that the API takes is rounded, and what a request costs is exact."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallmodel_operator.budget.price import Price, micros, price_of, shown, trillionths

AMOUNTS = st.from_regex(r"\A[0-9]{1,9}(\.[0-9]{1,6})?\Z")
TOKENS = st.integers(0, 1 << 40)


@given(AMOUNTS)
def test_an_amount_is_what_it_says(text: str) -> None:
    assert Decimal(micros(text)) == Decimal(text) * 10**6
    assert trillionths(text) == micros(text) * 10**6
    amount, _, currency = shown(trillionths(text), "EUR").partition(" ")
    assert (Decimal(amount), currency) == (Decimal(text), "EUR")


@given(prompt=AMOUNTS, generated=AMOUNTS, read=TOKENS, written=TOKENS)
def test_what_a_request_costs_is_not_rounded(prompt: str, generated: str, read: int, written: int) -> None:
    price = price_of({"promptPerMillionTokens": prompt, "generatedPerMillionTokens": generated, "currency": "EUR"})
    cost = Decimal(price.of(read, written))
    assert cost == (Decimal(prompt) * read + Decimal(generated) * written) * 10**6


@pytest.mark.parametrize("text", ["", "-1", "1.0000001", "1e3", "1,5", ".5.", "∞"])
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no amount"):
        micros(text)


def test_amounts_are_shown_with_all_their_digits() -> None:
    price = Price(150_000, 600_000, "EUR")
    assert shown(price.of(500, 150), price.currency) == "0.000165 EUR"
    assert shown(trillionths("400"), "EUR") == "400.00 EUR"
    assert shown(1, "EUR") == "0.000000000001 EUR"
