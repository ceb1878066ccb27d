"""The escalated share: never more than the user set, whatever comes; close to it, wherever the scores drift."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallmodel_operator.routing.choice.share import BURST, Share

ARRIVALS = st.lists(
    st.tuples(st.floats(0, 30), st.one_of(st.floats(0, 1), st.sampled_from([0.0, 1.0, math.nan, math.inf]))),
    max_size=300,
)


@given(arrivals=ARRIVALS, percent=st.floats(0, 100), window=st.floats(1, 500))
def test_it_is_never_exceeded(arrivals: list[tuple[float, float]], percent: float, window: float) -> None:
    share, now, made = Share(percent, window), 0.0, []
    for pause, score in arrivals:
        now += pause
        made.append((math.floor(now / window), share.decide(score, now).escalate))
        turn = [escalated for number, escalated in made if number == made[-1][0]]
        assert sum(turn) <= percent / 100 * len(turn) + 1e-6, "at no moment of a window"
    for start in range(len(made)):
        spent = 0
        for number, (_, escalated) in enumerate(made[start:], start=1):
            spent += escalated
            assert spent <= percent / 100 * number + max(BURST, 1) + 1e-6, "among any requests in a row"


def scores(lots: random.Random, at: float) -> float:
    return min(1.0, max(0.0, lots.gauss(at, 0.1)))


@pytest.mark.parametrize("percent", [5, 10, 20, 50])
@pytest.mark.parametrize("drift", [0.0, 0.4, -0.4], ids=["steady", "harder", "easier"])
def test_it_is_kept_where_the_user_set_it_though_scores_drift(percent: float, drift: float) -> None:
    lots, share, number = random.Random(3), Share(percent, 3600), 6000
    escalated = sum(share.decide(scores(lots, 0.5 + drift * n / number), n * 1.0).escalate for n in range(number))
    assert 0.85 * percent <= 100 * escalated / number <= percent


def test_it_is_spent_on_the_highest_scores() -> None:
    lots, share = random.Random(4), Share(20, 1e9)
    made = [(score := lots.random(), share.decide(score, n).escalate) for n in range(5000)]
    chosen = [score for score, escalated in made[500:] if escalated]
    assert sum(score > 0.75 for score in chosen) > 0.9 * len(chosen)


def test_a_score_that_is_worth_nothing_is_not_escalated() -> None:
    share = Share(50, 60, least_score=0.6)
    assert not any(share.decide(0.5, n).escalate for n in range(200))
    assert any(share.decide(0.7, 200 + n).escalate for n in range(10))


@pytest.mark.parametrize(("percent", "expected"), [(0, 0), (100, 100)])
def test_none_and_all(percent: float, expected: int) -> None:
    share = Share(percent, 60)
    assert sum(share.decide(0.1, n).escalate for n in range(100)) == expected


def test_after_a_quiet_time_nothing_is_saved_up() -> None:
    share = Share(10, 10)
    for n in range(100):
        share.decide(0.0, 0.001 * n)
    made = [share.decide(1.0, 1000 + 0.001 * n).escalate for n in range(100)]
    assert made.index(True) >= 9
    assert sum(made) <= 10


@pytest.mark.parametrize(("percent", "window"), [(-1, 60), (101, 60), (math.nan, 60), (10, 0)])
def test_what_makes_no_sense_is_refused(percent: float, window: float) -> None:
    with pytest.raises(ValueError, match="percent"):
        Share(percent, window)
