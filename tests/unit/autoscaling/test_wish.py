"""More replicas than come are said to be wished for until they were not needed for a while."""

import pytest

from smallmodel_operator.autoscaling.wish import LASTS_SECONDS, Wish, stands


@pytest.mark.parametrize(
    ("need", "current", "seconds", "found"),
    [
        (1, 1, 5.0, True),
        (2, 1, 5.0, True),
        (3, 1, 5.0, False),  # it is needed, and said anew
        (4, 1, 5.0, False),
        (1, 1, LASTS_SECONDS, False),
        (1, 2, 5.0, False),  # some may go
        (2, 2, 5.0, False),  # some came
    ],
)
def test_a_wish_is_said_for_a_minute_after_it_was_needed(need: int, current: int, seconds: float, found: bool) -> None:
    assert stands(Wish(3, 1, 100.0), need, current, 100.0 + seconds) is found


def test_nothing_is_wished_for_before_it_was_said() -> None:
    assert not stands(Wish(), 1, 1, 0.0)
