"""What a budget allows."""

import pytest

from smallmodel_operator.autoscaling.cap import Action, Spending, cap, pace

HOUR = 3600.0


def spending(spent: float, elapsed_hours: float, budget: float = 100.0) -> Spending:
    return Spending(budget, spent, elapsed_hours * HOUR, 100 * HOUR, 0.5)


def test_on_its_pace_a_budget_allows_twice_of_it() -> None:
    assert pace(spending(0, 0)) == pytest.approx(4)
    assert pace(spending(50, 50)) == pytest.approx(4)


def test_behind_its_pace_it_allows_what_can_be_kept_to_the_end() -> None:
    assert pace(spending(60, 50)) == pytest.approx(40 / (50 * 0.5))


def test_a_model_that_costs_nothing_is_not_limited() -> None:
    assert cap(Spending(10, 0, 0, HOUR, 0.0), Action.REFUSE, 1, 8, 3).why == ""


@pytest.mark.parametrize(
    ("action", "least", "most", "refuse"),
    [
        (Action.WARN, 2, 8, False),
        (Action.SHRINK_FLOOR, 1, 8, False),
        (Action.CAP, 1, 1, False),
        (Action.SLEEP, 0, 1, False),
        (Action.REFUSE, 0, 1, True),
    ],
)
def test_each_rung_of_the_ladder_with_nothing_left(action: Action, least: int, most: int, refuse: bool) -> None:
    found = cap(spending(101, 90), action, 2, 8, in_flight=3)
    assert (found.least, found.most, found.refuse) == (least, most, refuse)
    assert "101.00 of 100.00 spent after 90 %" in found.why


def test_asleep_when_the_last_answer_is_complete() -> None:
    assert cap(spending(101, 90), Action.SLEEP, 2, 8, in_flight=0).most == 0


def test_one_replica_stays_while_money_is_left() -> None:
    assert cap(spending(99.9, 10), Action.CAP, 0, 8, 1).most == 1
