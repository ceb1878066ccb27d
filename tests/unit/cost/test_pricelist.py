"""A cloud's dated prices."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from smallmodel_operator.core.money import BadCost
from smallmodel_operator.cost.pricelist import OLD_DAYS, price_list

ENTRY = {"name": "small", "promptPerMillionTokens": "0.15", "generatedPerMillionTokens": "0.60"}
OTHER = {"name": "large", "promptPerMillionTokens": "2.50", "generatedPerMillionTokens": "10"}
LIST: dict[str, Any] = {"read": "2026-01-01", "currency": "USD", "prices": [ENTRY, OTHER]}


def test_prompt_and_generated_tokens_have_their_own_prices() -> None:
    found = price_list(LIST)
    assert found.prices[0].of(2_000_000, 1_000_000) == Decimal("0.90")
    assert found.compared.name == "small"
    assert price_list({**LIST, "compareWith": "large"}).compared.name == "large"


def test_a_list_is_old_from_the_day_after_the_last_good_one() -> None:
    found = price_list(LIST)
    read = found.read.toordinal()
    assert not found.old(date.fromordinal(read + OLD_DAYS))
    assert found.warning(date.fromordinal(read + OLD_DAYS)) == ""
    assert found.old(date.fromordinal(read + OLD_DAYS + 1))
    assert "181 days ago, on 2026-01-01" in found.warning(date.fromordinal(read + OLD_DAYS + 1))
    assert found.age_days(date.fromordinal(read - 5)) == 0


def test_another_currency_needs_its_rate() -> None:
    with pytest.raises(BadCost, match=r"exchange\.EUR"):
        price_list(LIST).within("EUR")
    found = price_list({**LIST, "exchange": {"EUR": "0.9"}}).within("EUR")
    assert (found.currency, found.prices[1].generated) == ("EUR", Decimal("9.0"))
    assert price_list(LIST).within("USD") == price_list(LIST)


def test_a_bare_day_is_one() -> None:
    assert price_list({**LIST, "read": date(2026, 1, 1)}) == price_list(LIST)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"read": "yesterday"}, "read is"),
        ({"read": None}, "read is"),
        ({"currency": "$"}, "currency is"),
        ({"prices": []}, "prices must be"),
        ({"prices": [ENTRY, ENTRY]}, "more than once"),
        ({"prices": ["small"]}, r"prices\[0\] must be a mapping"),
        ({"prices": [{**ENTRY, "name": ""}]}, r"prices\[0\]\.name"),
        ({"prices": [{**ENTRY, "promptPerMillionTokens": 0.15}]}, r"prices\[0\]\.promptPerMillionTokens"),
        ({"prices": [{**ENTRY, "cached": "1"}]}, r"prices\[0\] has no field cached"),
        ({"compareWith": "none"}, "compareWith is"),
        ({"exchange": {"EUR": "0"}}, r"exchange\.EUR"),
        ({"rates": {}}, "no field rates"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(change: dict[str, Any], says: str) -> None:
    with pytest.raises(BadCost, match=says):
        price_list({**LIST, **change})


@pytest.mark.parametrize("value", [None, [], "prices"])
def test_no_mapping_is_no_list(value: Any) -> None:
    with pytest.raises(BadCost, match="price list"):
        price_list(value)
