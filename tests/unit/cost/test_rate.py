"""What a model does at the moment: tokens an hour of late, and the hour of its replicas."""

from decimal import Decimal
from math import exp

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallmodel_operator.cost.ledger import HOUR_MICROSECONDS, NANO, Pool, PricedNode, Tenant
from smallmodel_operator.cost.rate import Rate, hourly, seen
from smallmodel_operator.cost.share import WHOLE

HOUR = HOUR_MICROSECONDS


def watched(*looks: tuple[float, int]) -> Rate:
    """(hours, tokens counted by then)."""
    rate: Rate | None = None
    for hours, tokens in looks:
        rate = seen(rate, tokens, round(hours * HOUR))
    assert rate is not None
    return rate


def test_a_first_look_counts_nothing_and_half_an_hour_is_needed() -> None:
    assert watched((0, 5000)).known is None
    assert watched((0, 5000), (0.25, 5250)).known is None, "a quarter of an hour is a guess"
    assert watched((0, 5000), (0.5, 5500)).known == pytest.approx(1000)


def test_before_an_hour_was_watched_all_of_it_counts_nearly_alike() -> None:
    """Half an hour at 1,000 an hour, half at 3,000; the newer half has a little more weight."""
    assert watched((0, 0), (0.5, 500), (1, 2000)).known == pytest.approx(1000 + 2000 * (1 - exp(-0.5)))


def test_what_was_long_ago_is_forgotten() -> None:
    begun = watched((0, 0), (1, 1000))
    silent = begun
    for hour in range(2, 12):
        silent = seen(silent, 1000, hour * HOUR)
    assert silent.known == pytest.approx(begun.per_hour * exp(-10))


def test_a_month_that_begins_counts_from_zero_again() -> None:
    assert watched((0, 900_000), (1, 901_000), (2, 1000)).known == pytest.approx(
        watched((0, 0), (1, 1000), (2, 2000)).known
    )


def test_a_clock_that_stands_or_went_back_changes_nothing() -> None:
    rate = watched((0, 0), (1, 1000))
    assert seen(rate, 2000, HOUR) == rate
    assert seen(rate, 2000, HOUR // 2) == rate


@given(st.lists(st.tuples(st.integers(1, 4 * HOUR), st.integers(0, 10**9)), min_size=1, max_size=10))
def test_it_is_between_the_slowest_and_the_fastest_look(looks: list[tuple[int, int]]) -> None:
    rate, tokens, at = Rate(0, 0), 0, 0
    each = []
    for length, more in looks:
        tokens, at = tokens + more, at + length
        each.append(more / (length / HOUR))
        rate = seen(rate, tokens, at)
    assert min(each) * (1 - 1e-9) <= rate.per_hour <= max(each) * (1 + 1e-9)


def test_the_hour_of_the_dearest_replica_counts_and_others_have_none() -> None:
    cheap, dear = Pool("cpu", "EUR", NANO // 2), Pool("gpu", "USD", 4 * NANO)
    nodes = (
        PricedNode(cheap, 0, (Tenant("a/b", WHOLE // 2, 0), Tenant("", WHOLE // 2, 0))),
        PricedNode(dear, 0, (Tenant("a/b", WHOLE // 8, 0), Tenant("a/c", 0, 0))),
    )
    assert hourly(nodes) == {"a/b": ("USD", Decimal("0.5")), "a/c": ("USD", Decimal(0))}
    assert hourly(nodes[:1]) == {"a/b": ("EUR", Decimal("0.25"))}
