"""Bounds of latency: a tighter one never misses less and never takes fewer replicas, nor does a further one."""

import math

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from smallmodel_operator.autoscaling.answers import alone, curve, missed
from smallmodel_operator.autoscaling.objective import Objective, State, decide
from smallmodel_operator.autoscaling.observation import Counters, Observation
from smallmodel_operator.autoscaling.profile import EngineProfile
from smallmodel_operator.autoscaling.prompts import NOTHING, bin_of
from smallmodel_operator.autoscaling.queueing import Work
from smallmodel_operator.autoscaling.table import Engine, price, table
from smallmodel_operator.core.scaling import Latency

WORK = Work(((60.0, 0.5), (200.0, 0.4), (500.0, 0.1)), 50.0, ((15.0, 0.3), (40.0, 0.5), (120.0, 0.2)))
FEW = settings(max_examples=15, deadline=None)
MOST = 40

profiles = st.builds(
    EngineProfile,
    st.floats(0.002, 0.1),
    st.floats(0.0005, 0.02),
    st.floats(100, 20000),
    st.floats(0, 0.9),
    st.integers(1, 12),
    st.just(12.0),
)
bounds = st.one_of(
    st.tuples(st.just(Latency.INTER_TOKEN), st.floats(0.002, 0.5)),
    st.tuples(st.just(Latency.END_TO_END), st.floats(0.3, 60)),
)


@FEW
@given(profiles, bounds, st.floats(1.0, 4.0), st.floats(0.01, 20), st.integers(1, 12))
def test_a_tighter_bound_never_misses_less(
    profile: EngineProfile, bound: tuple[Latency, float], times: float, arrivals: float, replicas: int
) -> None:
    kind, loose = bound
    tight = loose / times
    assume(alone(profile, WORK, kind, tight) < 0.5)
    found = [missed(profile, WORK, kind, seconds, arrivals, replicas) for seconds in (tight, loose)]
    assert found[0] >= found[1] - 1e-9


@FEW
@given(profiles, bounds, st.integers(1, 8))
def test_misses_are_a_share_and_grow_with_load(
    profile: EngineProfile, bound: tuple[Latency, float], replicas: int
) -> None:
    points = curve(profile, WORK, *bound, replicas)
    assert [x for x, _ in points] == sorted(x for x, _ in points)
    assert [y for _, y in points] == sorted(y for _, y in points)
    assert all(0 <= math.exp(y) <= 1 + 1e-9 for _, y in points)


@FEW
@given(profiles, bounds, st.floats(1.0, 4.0), st.floats(0.05, 5), st.floats(0.01, 0.2))
def test_a_tighter_bound_never_takes_fewer_replicas(
    profile: EngineProfile, bound: tuple[Latency, float], times: float, arrivals: float, allowed: float
) -> None:
    kind, loose = bound
    tight = loose / times
    assume(alone(profile, WORK, kind, tight) < 0.75 * allowed)

    def taken(seconds: float) -> int:
        engine = Engine(profile, WORK, seconds, kind)
        return table(engine, price(engine, arrivals, allowed, 0.6), MOST).replicas(arrivals)

    assert taken(tight) >= taken(loose)


def replicas(asked: Objective, profile: EngineProfile, rate: int, good: float) -> int:
    """That are wanted after ten minutes of a steady load, of which this share is in time."""
    state, counters, count = State(), Counters(), 1
    one = tuple(float(n == bin_of(150)) for n in range(len(NOTHING)))
    for tick in range(1, 121):
        n = rate * tick
        inside = (n, int(good * n))
        bins = tuple(n * share for share in one)
        counters = Counters(n, 150 * n, *inside, n, 50 * n, 49 * 0.06 * n, 49 * n, prompts=bins, written=bins,
                            inter_token=inside, end_to_end=inside)  # fmt: skip
        look = Observation(5.0 * tick, count, 0, counters, rate, 0, 12.0)
        state, decision = decide(state, look, asked, profile)
        count = decision.replicas
    return count


PROFILE = EngineProfile(0.040, 0.008, 300, 0.6, 8, 12)


@FEW
@given(st.integers(1, 12), st.floats(0.8, 1), st.floats(0.06, 0.3), st.floats(4, 60))
def test_a_further_bound_never_takes_fewer_replicas(rate: int, good: float, inter: float, end: float) -> None:
    one = replicas(Objective(3.0, 95, 1, 16), PROFILE, rate, good)
    two = replicas(Objective(3.0, 95, 1, 16, inter), PROFILE, rate, good)
    three = replicas(Objective(3.0, 95, 1, 16, inter, end), PROFILE, rate, good)
    assert one <= two <= three


@FEW
@given(st.lists(st.tuples(st.integers(0, 40), st.floats(0, 1), st.booleans()), min_size=5, max_size=60))
def test_whatever_is_seen_the_limits_hold_and_silence_takes_nothing_away(looks: list[tuple[int, float, bool]]) -> None:
    asked, state, counters, count = Objective(0.0, 95, 1, 6, 0.07, 4.0), State(), Counters(), 1
    for tick, (arrived, good, silent) in enumerate(looks, 1):
        n = counters.arrivals + arrived
        inter, end = (
            (counted + arrived, before + int(good * arrived))
            for counted, before in (counters.inter_token, counters.end_to_end)
        )
        bins = tuple(b + (arrived if i == 14 else 0) for i, b in enumerate(counters.prompts))
        counters = Counters(n, 100 * n, 0, 0, n, 40 * n, 3.0 * n, 39 * n, prompts=bins, written=bins,
                            inter_token=inter, end_to_end=end)  # fmt: skip
        look = Observation(5.0 * tick, count, 0, None if silent else counters, arrived, 0, 12.0)
        state, decision = decide(state, look, asked, PROFILE)
        assert 1 <= decision.replicas <= 6
        if silent:
            assert decision.replicas >= count
        count = decision.replicas
