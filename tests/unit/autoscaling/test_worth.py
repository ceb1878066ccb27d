"""What replicas avoided lately."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallmodel_operator.autoscaling.worth import LATELY_SECONDS, Worth, learn

falling = st.lists(st.floats(0, 100), min_size=1, max_size=8).map(lambda gains: tuple(sorted(gains, reverse=True)))


def test_the_first_look_counts_whole() -> None:
    assert learn(Worth(), (4.0, 2.0), 10.0) == Worth((4.0, 2.0), 10.0)


def test_a_moment_counts_little_and_what_lasts_counts_whole() -> None:
    worth = learn(Worth((4.0,), 0.0), (8.0,), 5.0)
    assert 4.0 < worth.gains[0] < 4.2
    for tick in range(2, 200):
        worth = learn(worth, (8.0,), 5.0 * tick)
    assert worth.gains[0] == pytest.approx(8.0, abs=0.01)


def test_after_a_long_while_nothing_is_left_of_what_was() -> None:
    assert learn(Worth((4.0,), 0.0), (8.0,), 20 * LATELY_SECONDS).gains[0] == pytest.approx(8.0)


def test_the_same_moment_again_changes_nothing() -> None:
    assert learn(Worth((4.0,), 5.0), (8.0,), 5.0).gains == (4.0,)


def test_a_last_gain_counts_for_all_that_follow() -> None:
    assert learn(Worth((4.0, 2.0), 0.0), (4.0, 2.0, 2.0), 5.0).gains == pytest.approx((4.0, 2.0, 2.0))
    assert learn(Worth((4.0, 2.0, 2.0), 0.0), (4.0, 2.0), 5.0).gains == pytest.approx((4.0, 2.0, 2.0))


@given(falling, falling, st.floats(0, 1000))
def test_they_stay_in_order_and_between_what_was_and_what_is(
    before: tuple[float, ...], now: tuple[float, ...], seconds: float
) -> None:
    found = learn(Worth(before, 0.0), now, seconds).gains
    assert len(found) == max(len(before), len(now))
    assert all(a >= b - 1e-9 for a, b in pairwise(found))
    assert min(*before, *now) - 1e-9 <= min(found) <= max(found) <= max(*before, *now) + 1e-9
