"""What is kept though nobody needs it: more need never keeps fewer, what is needed stays, what is idle goes."""

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from smallmodel_operator.autoscaling.hold import LEAST_IDLE, LEAST_STARTS, RENT, Hold, keep, pass_by

QUICK = settings(max_examples=60, deadline=None)
TICK = 5.0

needs = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 6)), min_size=1, max_size=150)
"""(needed, how many more), tick by tick."""
starts = st.floats(1, 300)


@QUICK
@given(needs, st.integers(1, 12), starts)
def test_more_need_never_keeps_fewer(seen: list[tuple[int, int]], replicas: int, start: float) -> None:
    few, many = Hold(), Hold()
    for need, more in seen:
        few = pass_by(few, need, replicas, TICK)
        many = pass_by(many, need + more, replicas, TICK)
        assert keep(few, start) <= keep(many, start) <= replicas
        assert all(a >= b for a, b in zip(few.idle, many.idle, strict=True))


@QUICK
@given(needs, starts)
def test_what_was_just_needed_stays_whatever_comes_and_goes(seen: list[tuple[int, int]], start: float) -> None:
    held, count = Hold(), 1
    for need, _ in seen:
        count = max(count, need)
        held = pass_by(held, need, count, TICK)
        assert all(a <= b for a, b in itertools.pairwise(held.idle)), "the last one is needed least"
        kept = keep(held, start)
        assert 0 <= kept <= count
        assert kept == count or sum(held.idle[kept:]) >= RENT
        assert all(idle >= LEAST_IDLE for idle in held.idle[kept:])
        count = max(1, kept)


@QUICK
@given(st.integers(1, 12), st.integers(0, 12), starts)
def test_an_idle_replica_goes_within_its_rent_and_many_go_sooner(idle: int, needed: int, start: float) -> None:
    held, after = Hold((0.0,) * (idle + needed)), 0.0
    while keep(held, start) > needed:
        held, after = pass_by(held, needed, idle + needed, TICK), after + TICK
        assert after <= max(RENT / idle, LEAST_IDLE, LEAST_STARTS * start) + TICK
    assert keep(held, start) == needed
    assert after >= max(RENT / idle, LEAST_IDLE, LEAST_STARTS * start)


def test_what_is_needed_now_and_then_is_kept() -> None:
    """Ten seconds in a hundred and ten are enough, one tick in that time is not."""

    def run(needed_ticks: int) -> int:
        held = Hold((0.0,) * 2)
        for tick in range(22 * 20):
            held = pass_by(held, 2 if tick % 22 < needed_ticks else 1, 2, TICK)
            if keep(held, 12.0) < 2:
                return 1
        return 2

    assert (run(2), run(1)) == (2, 1)
