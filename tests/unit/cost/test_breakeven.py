"""Where a node and a cloud cost the same."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallmodel_operator.core.money import BadCost, text
from smallmodel_operator.cost.breakeven import Work, compare
from smallmodel_operator.cost.node import MONTH_HOURS, NodePrice
from smallmodel_operator.cost.pricelist import CloudPrice
from smallmodel_operator.cost.tokens import Speed, measured, per_million

NODE = NodePrice("USD", capital=Decimal("0.34"), electricity=Decimal("0.11"), purchase=Decimal(12000))
CLOUD = CloudPrice("small", Decimal("0.60"), Decimal("0.60"))
SPEED = Speed(Decimal(300), Decimal(300))


def work(utilization: str = "100", **other: Any) -> Work:
    given = {"speed": SPEED, "replicas": 1, "prompt": Decimal(500), "generated": Decimal(150), **other}
    return Work(utilization_percent=Decimal(utilization), **given)


def test_the_worked_example() -> None:
    """$0.45 an hour at 300 tokens/s is $0.42 a million; a node with a tenth to do costs ten times as much."""
    assert work().tokens_per_hour == 1_080_000
    assert text(work().local(NODE, Decimal(100))) == "0.42"
    assert text(work().local(NODE, Decimal(10))) == "4.17"
    assert text(compare(NODE, work(), CLOUD).break_even_percent or Decimal(0), 1) == "69.4"


def test_a_cloud_that_takes_less_than_a_full_node_is_never_met() -> None:
    found = compare(NODE, work(), CloudPrice("cheap", Decimal("0.1"), Decimal("0.1")))
    assert found.cheaper == "cloud"
    assert found.break_even_percent is not None
    assert found.break_even_percent > 100
    assert found.payback_months is None


def test_what_was_bought_has_paid_when_the_cloud_would_have_taken_as_much() -> None:
    found = compare(NODE, work("50"), CloudPrice("large", Decimal("5"), Decimal("5")))
    saved = (Decimal(540_000) * 5 / 1_000_000 - Decimal("0.11")) * MONTH_HOURS
    assert found.payback_months == NODE.purchase / saved if NODE.purchase else False


def test_what_is_rented_pays_back_nothing() -> None:
    found = compare(NodePrice("USD", Decimal("0.45")), work(), CloudPrice("large", Decimal("5"), Decimal("5")))
    assert (found.cheaper, found.payback_months) == ("local", None)


def test_a_cloud_for_nothing_has_no_break_even() -> None:
    assert compare(NODE, work(), CloudPrice("free", Decimal(0), Decimal(0))).break_even_percent is None


@pytest.mark.parametrize(
    "change",
    [{"utilization": "0"}, {"utilization": "101"}, {"replicas": 0}, {"prompt": Decimal(0), "generated": Decimal(0)}],
)
def test_the_impossible_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(BadCost):
        work(**change)


AMOUNT = st.decimals("0.0001", "100000", places=4)


@given(
    capital=AMOUNT,
    prefill=AMOUNT,
    decode=AMOUNT,
    prompt=st.integers(0, 10_000),
    generated=st.integers(1, 10_000),
    replicas=st.integers(1, 64),
    cloud=AMOUNT,
)
def test_at_the_break_even_both_cost_the_same(
    capital: Decimal, prefill: Decimal, decode: Decimal, prompt: int, generated: int, replicas: int, cloud: Decimal
) -> None:
    node = NodePrice("EUR", capital)
    busy = work(speed=Speed(prefill, decode), prompt=Decimal(prompt), generated=Decimal(generated), replicas=replicas)
    found = compare(node, busy, CloudPrice("c", cloud, cloud))
    assert found.break_even_percent is not None
    there = busy.local(node, found.break_even_percent)
    assert abs(there - found.cloud) <= found.cloud * Decimal("1e-20")


def test_a_generated_token_costs_as_many_prompt_tokens_as_it_takes_longer() -> None:
    found = per_million(Decimal(8), 1_000_000, 1_000_000, Speed(Decimal(210), Decimal(30)))
    assert (found.prompt, found.generated, found.all) == (1, 7, 4)
    alike = per_million(Decimal(8), 1_000_000, 1_000_000, None)
    assert (alike.prompt, alike.generated, alike.split) == (4, 4, False)
    assert per_million(Decimal(8), 0, 0, None).all is None
    assert per_million(Decimal(8), 0, 1_000_000, None).prompt is None


@given(amount=AMOUNT, prompt=st.integers(0, 10**12), generated=st.integers(0, 10**12), prefill=AMOUNT, decode=AMOUNT)
def test_prompt_and_generated_tokens_together_cost_what_was_paid(
    amount: Decimal, prompt: int, generated: int, prefill: Decimal, decode: Decimal
) -> None:
    found = per_million(amount, prompt, generated, Speed(prefill, decode))
    paid = prompt * (found.prompt or 0) + generated * (found.generated or 0)
    assert abs(paid - amount * 1_000_000) < Decimal("1e-9") * amount * 1_000_000 or not prompt + generated


def test_the_speed_is_that_of_as_many_requests_as_help() -> None:
    decode = [{"concurrency": 1, "tokensPerSecond": "30.0"}, {"concurrency": 4, "tokensPerSecond": "80.5"}]
    assert measured({"prefillTokensPerSecond": "400.0", "decodeTokensPerSecond": decode}) == Speed(
        Decimal("400.0"), Decimal("80.5")
    )
    assert measured(None) is None
    assert measured({"prefillTokensPerSecond": "400.0", "decodeTokensPerSecond": []}) is None
    with pytest.raises(BadCost, match=r"status\.capacity"):
        measured({"prefillTokensPerSecond": "fast", "decodeTokensPerSecond": decode})
