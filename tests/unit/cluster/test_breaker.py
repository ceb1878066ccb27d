"""Who does not answer is asked seldom, and again."""

from hypothesis import given
from hypothesis import strategies as st

from smallmodel_operator.cluster.breaker import FAILURES, FIRST_PAUSE, LAST_PAUSE, Breaker


def after(failures: int, at: float = 100.0) -> Breaker:
    breaker = Breaker()
    for _ in range(failures):
        breaker = breaker.failed(at)
    return breaker


def test_one_failure_is_none() -> None:
    assert all(after(n).closed(100.0) for n in range(FAILURES))


def test_after_some_it_pauses_longer_and_longer_but_never_for_ever() -> None:
    pauses = [after(FAILURES + n).pause for n in range(12)]
    assert pauses[:4] == [FIRST_PAUSE, 2 * FIRST_PAUSE, 4 * FIRST_PAUSE, LAST_PAUSE]
    assert set(pauses[3:]) == {LAST_PAUSE}


def test_one_question_after_the_pause_decides() -> None:
    breaker = after(FAILURES)
    assert not breaker.closed(100.0 + FIRST_PAUSE - 0.1)
    assert breaker.closed(100.0 + FIRST_PAUSE)
    again = breaker.failed(100.0 + FIRST_PAUSE)
    assert not again.closed(100.0 + 2 * FIRST_PAUSE), "it failed: twice as long"


@given(st.integers(0, 10_000), st.floats(-1e9, 1e9))
def test_it_is_closed_within_the_longest_pause_whatever_the_clock_says(failures: int, now: float) -> None:
    breaker = Breaker(failures, now)
    assert breaker.closed(now + LAST_PAUSE)
    assert breaker.closed(now - 1.0), "a clock that was set back does not shut anybody out"
