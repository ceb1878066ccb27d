"""Scaling on objectives: more arrivals never need fewer replicas, limits hold, unknown never scales down."""

import itertools
import math
from dataclasses import replace
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from smallmodel_operator.autoscaling.objective import Objective, State, decide
from smallmodel_operator.autoscaling.observation import Counters, Observation
from smallmodel_operator.autoscaling.profile import EngineProfile
from smallmodel_operator.autoscaling.prompts import BINS, LOWEST, bin_of, quantiles
from smallmodel_operator.autoscaling.queueing import Work, capacity, miss
from smallmodel_operator.autoscaling.table import Engine, price, table
from smallmodel_operator.control.objective import Held, Subject, tick
from smallmodel_operator.core.traffic import Counts, GatewayReport, Traffic

PROFILE = EngineProfile(0.040, 0.008, 300, 0.6, 8, 12)
WORK = Work(((60.0, 0.5), (200.0, 0.4), (500.0, 0.1)), 50.0)
ENGINE = Engine(PROFILE, WORK, 3.0)
FEW = settings(max_examples=12, deadline=None)

profiles = st.builds(
    EngineProfile,
    st.floats(0.002, 0.2),
    st.floats(0, 0.05),
    st.floats(50, 20000),
    st.floats(0, 1),
    st.integers(1, 16),
    st.floats(1, 300),
)


@FEW
@given(st.floats(1e-6, 10), st.lists(st.floats(0, 50), min_size=2, max_size=20))
def test_more_arrivals_never_need_fewer_replicas(paid: float, arrivals: list[float]) -> None:
    plan = table(ENGINE, paid, 12)
    counts = [plan.replicas(a) for a in sorted(arrivals)]
    assert counts == sorted(counts)
    assert counts[0] >= 1
    assert counts[-1] <= 12


@FEW
@given(st.floats(1e-4, 10), st.floats(1.01, 5), st.floats(0, 20))
def test_a_dearer_replica_is_never_a_reason_for_more_of_them(paid: float, times: float, arrivals: float) -> None:
    assert table(ENGINE, paid * times, 12).replicas(arrivals) <= table(ENGINE, paid, 12).replicas(arrivals)


@FEW
@given(st.floats(1e-3, 60), st.floats(1e-4, 1), st.floats(0.05, 3), st.floats(1.1, 40))
def test_the_fewest_replicas_for_a_target_are_those_that_asking_one_by_one_finds(
    arrivals: float, target: float, low: float, times: float
) -> None:
    curves, high = ENGINE.curves, low * times
    found = curves.fewest(arrivals, target, low, high, 24)
    for _ in range(24):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if curves.missed(arrivals, middle) > target else (low, middle)
    assert found == high


@FEW
@given(profiles, st.floats(0.02, 30), st.integers(1, 8))
def test_misses_are_a_share_and_grow_with_load(profile: EngineProfile, objective: float, replicas: int) -> None:
    most = capacity(profile, WORK)
    found = [miss(profile, WORK, objective, most * load, replicas) for load in (0.1, 0.4, 0.7, 0.9, 1.1)]
    assert all(0 <= f <= 1 for f in found)
    assert all(a <= b + 0.02 for a, b in itertools.pairwise(found)), found
    assert found[-1] == 1


@FEW
@given(profiles, st.floats(0.02, 30), st.floats(0.001, 100), st.floats(1e-4, 0.6))
def test_a_price_is_a_number_above_zero(
    profile: EngineProfile, objective: float, arrivals: float, allowed: float
) -> None:
    found = price(Engine(profile, WORK, objective), arrivals, allowed)
    assert found > 0
    assert math.isfinite(found)


def test_a_faster_engine_carries_more() -> None:
    slow, quick = (table(Engine(PROFILE.faster(f), WORK, 3.0), 0.05, 8).carries for f in (1, 1.4))
    assert all(q > s for s, q in zip(slow, quick, strict=True))


@FEW
@given(st.lists(st.integers(0, 200_000), min_size=1, max_size=200))
def test_points_of_a_histogram_keep_requests_and_nearly_their_tokens(lengths: list[int]) -> None:
    counts = [0.0] * BINS
    for length in lengths:
        counts[bin_of(length)] += 1
    points = quantiles(counts)
    assert math.isclose(sum(p for _, p in points), 1)
    inside = [min(max(n, LOWEST), LOWEST * 2 ** (BINS / 4)) for n in lengths]
    assert sum(t * p for t, p in points) * len(lengths) <= 1.2 * sum(inside) + 1


steps = st.lists(
    st.tuples(st.integers(0, 60), st.floats(0, 1), st.booleans(), st.integers(0, 20)), min_size=5, max_size=80
)


@FEW
@given(steps, st.integers(0, 3), st.integers(0, 8), st.floats(5, 120))
def test_whatever_is_seen_the_guards_hold(
    ticks: list[tuple[int, float, bool, int]], least: int, more: int, start: float
) -> None:
    """Limits; no fewer on unknown; no second change of direction within a start-up time."""
    asked = Objective(3.0, 95, least, max(1, least + more))
    state, counters, count, at = State(), Counters(), max(1, least), 0.0
    moves: list[tuple[float, int]] = []
    for arrived, good, silent, waiting in ticks:
        at += 5
        counters = Counters(
            counters.arrivals + arrived,
            counters.prompt_tokens + 100 * arrived,
            counters.answered + arrived,
            counters.good + int(good * arrived),
            counters.ended + arrived,
            counters.generated_tokens + 40 * arrived,
            counters.decode_seconds + 3.0 * arrived,
            counters.decode_tokens + 39 * arrived,
            prompts=tuple(c + (arrived if i == 14 else 0) for i, c in enumerate(counters.prompts)),
        )
        look = Observation(at, count, 0, None if silent else counters, arrived, waiting, start)
        state, decision = decide(state, look, asked, PROFILE)
        assert asked.least <= decision.replicas <= asked.most
        assert decision.why
        if silent:
            assert decision.replicas >= count
        if decision.replicas != count:
            moves.append((at, 1 if decision.replicas > count else -1))
        count = decision.replicas
    turns = [b for (_, x), (b, y) in itertools.pairwise(moves) if x != y]
    assert all(b - a >= start for a, b in itertools.pairwise(turns))


class _Words(NamedTuple):
    """What one of two gateways says at a tick; `age` above 4 is silence."""

    ended: int
    in_flight: int
    held: int
    age: float
    again: bool


_words = st.builds(
    _Words, st.integers(0, 30), st.integers(0, 20), st.integers(0, 5), st.sampled_from([0.1, 0.1, 0.1, 60.0]),
    st.sampled_from([False, False, False, True]),
)  # fmt: skip


@FEW
@given(st.lists(st.tuples(_words, _words), min_size=1, max_size=60), st.integers(1, 4), st.booleans())
def test_live_a_silent_gateway_never_scales_down_and_counts_never_shrink(
    looks: list[tuple[_Words, _Words]], ready: int, vanishes: bool
) -> None:
    asked, held, now = Objective(3.0, 95, 1, 4), Held(), 0.0
    of = Subject("uid", asked, PROFILE, 0.2, 8, ready, ready)
    ended, epochs = [0, 0], [0, 0]
    for number, words in enumerate(looks):
        now += 5
        reports = []
        for g, said in enumerate(words):
            epochs[g] += said.again
            ended[g] = 0 if said.again else ended[g] + said.ended
            n = ended[g]
            prompts = (*(0,) * 9, n, *(0,) * (BINS - 10))
            counts = Counts(str(epochs[g]), 3.0, n, n, n, n, 40 * n, 30 * n, 0.3 * n, 29 * n, prompts)
            reports.append(GatewayReport(f"g{g}", said.age, True, said.in_flight, said.held, counts=counts))
        if vanishes and number % 7 == 6:
            reports.pop()
        before = held
        held = tick(held, of, Traffic(tuple(reports)), now)
        assert held.said is not None
        assert asked.least <= held.said.replicas <= asked.most
        for name in ("arrivals", "answered", "good", "ended", "prompt_tokens", "decode_seconds"):
            assert getattr(held.tally.total, name) >= getattr(before.tally.total, name)
        if any(r.age > 4 for r in reports):
            assert held.said.replicas >= of.replicas
        of = replace(of, replicas=held.said.replicas, ready=held.said.replicas)
