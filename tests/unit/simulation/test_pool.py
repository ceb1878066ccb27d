"""The model of the engine against what can be worked out by hand."""

import pytest

from smallmodel_operator.autoscaling.profile import EngineProfile
from smallmodel_operator.simulation.baselines import Fixed
from smallmodel_operator.simulation.pool import Pool
from smallmodel_operator.simulation.run import Limits, breach, ceiling, simulate
from smallmodel_operator.simulation.trace import Trace

PROFILE = EngineProfile(0.040, 0.008, 300, 0.6, 8, 12)


def run(trace: Trace, replicas: int = 1, profile: EngineProfile = PROFILE) -> Pool:
    pool = Pool(trace, profile, 3.0, profile.start_seconds, replicas)
    pool.forward(1e6)
    assert pool.done
    return pool


def test_a_request_alone() -> None:
    """300 tokens are read in 1 s, a token alone takes 48 ms."""
    pool = run(Trace([0.0], [300], [10]))
    assert pool.first_tokens == [pytest.approx(1.048)]
    assert pool.now == pytest.approx(1.0 + 10 * 0.048)


def test_two_prompts_are_read_one_after_the_other_and_the_first_answer_goes_on_slowly() -> None:
    """While the second is read, decoding keeps 40 % of its speed: 100 tokens take 1 s at 0.4/0.048 a second, then
    the rest at 1/0.056 with two in the batch."""
    pool = run(Trace([0.0, 0.0], [300, 300], [100, 1000]))
    assert pool.first_tokens == [pytest.approx(1 + 0.048 / 0.4), pytest.approx(2.056)]
    assert pool.decode_tokens == 99 + 999
    done = 2 + (100 - 0.4 / 0.048) * 0.056
    left = 1000 - (done - 2) / 0.056
    assert pool.now == pytest.approx(done + left * 0.048)


def test_who_finds_no_slot_waits_for_one() -> None:
    profile = EngineProfile(0.1, 0.0, 1e6, 0.0, 1, 12)
    pool = run(Trace([0.0, 0.0], [1, 1], [50, 1]), profile=profile)
    assert pool.first_tokens[1] == pytest.approx(5.1, abs=0.01)


def test_two_replicas_do_twice_as_much() -> None:
    trace = Trace([i * 0.5 for i in range(400)], [150] * 400, [50] * 400)
    one, two = run(trace, 1), run(trace, 2)
    assert one.good < 100
    assert two.good > 390


def test_held_requests_go_to_the_replica_that_comes() -> None:
    pool = Pool(Trace([1.0], [300], [10]), PROFILE, 3.0, 12.0, 0)
    pool.forward(5)
    assert (pool.look().waiting, pool.look().in_flight) == (1, 1)
    pool.scale(1)
    pool.forward(100)
    assert pool.first_tokens == [pytest.approx(5 + 12 + 1.048)]
    assert pool.look().start_seconds == pytest.approx(12)


def test_a_replica_that_goes_finishes_its_answers_and_is_paid_until_then() -> None:
    pool = Pool(Trace([0.0], [300], [1000]), PROFILE, 3.0, 12.0, 2)
    pool.forward(2)
    busy = next(r for r in pool.ready if r.load)
    pool.scale(1)
    assert busy in pool.ready, "the idle one goes first"
    pool.scale(0)
    assert pool.count == 0
    pool.forward(100)
    assert pool.done
    assert pool.replica_seconds() == pytest.approx(2 + 1 + 1000 * 0.048)


def test_little_s_law() -> None:
    trace = Trace([i * 0.9 for i in range(500)], [100] * 500, [40] * 500)
    pool = run(trace, 2)
    counters = pool.look().counters
    assert counters
    mean = counters.request_seconds / pool.now
    times = counters.request_seconds / counters.ended
    assert mean == pytest.approx(times / 0.9, rel=0.02)


def test_a_fixed_count_costs_its_time() -> None:
    trace = Trace([i * 1.0 for i in range(3600)], [30] * 3600, [10] * 3600)
    found = simulate(trace, PROFILE, Fixed(2), Limits(2, 2, 3.0), 0.45, 2)
    assert (found.actions, found.reversals, found.attainment_percent) == (0, 0, 100.0)
    assert found.replica_hours == pytest.approx(2.0, rel=1e-3)
    assert found.cost == pytest.approx(0.9, rel=1e-3)


def test_no_policy_can_do_more_than_all_replicas_at_once() -> None:
    trace = Trace([i * 0.05 for i in range(2000)], [600] * 2000, [10] * 2000)
    assert ceiling(trace, PROFILE, Limits(1, 4, 3.0)) < 20


def test_the_longest_breach_is_of_minutes_in_a_row() -> None:
    at = [30.0, 90.0, 150.0, 210.0, 400.0]
    firsts = [31.0, 99.0, 159.0, 211.0, 500.0]
    in_time = [first - a <= 3.0 for first, a in zip(firsts, at, strict=True)]
    assert breach(at, in_time, 95) == 120
