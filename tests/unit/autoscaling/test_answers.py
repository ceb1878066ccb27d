"""Answers that are written too slowly, or are complete too late."""

import pytest

from smallmodel_operator.autoscaling.answers import alone, at_once, carried, missed, nearest, token_seconds
from smallmodel_operator.autoscaling.profile import EngineProfile
from smallmodel_operator.autoscaling.queueing import Work, capacity
from smallmodel_operator.autoscaling.table import Engine, price, table
from smallmodel_operator.core.scaling import Latency

PROFILE = EngineProfile(0.040, 0.008, 300, 0.6, 8, 12)
WORK = Work(((60.0, 0.5), (200.0, 0.4), (500.0, 0.1)), 50.0, ((20.0, 0.5), (80.0, 0.5)))
PACE, END = Latency.INTER_TOKEN, Latency.END_TO_END


def test_one_alone_takes_what_the_profile_says_and_more_together_take_longer() -> None:
    tokens = token_seconds(PROFILE, WORK)
    assert tokens[1] == pytest.approx(0.048)
    assert list(tokens[1:]) == sorted(tokens[1:])
    assert tokens[8] > 0.040 + 8 * 0.008 - 0.008, "and while prompts are read still longer"


def test_the_largest_batch_within_the_bound_limits_what_a_replica_carries() -> None:
    tokens = token_seconds(PROFILE, WORK)
    assert at_once(PROFILE, WORK, PACE, tokens[3]) == 3
    assert at_once(PROFILE, WORK, PACE, 9.0) == PROFILE.slots
    assert carried(PROFILE, WORK, PACE, tokens[3]) < carried(PROFILE, WORK, PACE, 9.0) == capacity(PROFILE, WORK)
    assert at_once(PROFILE, WORK, PACE, 0.01) == PROFILE.slots, "no number of replicas helps, so none is added"


def test_what_one_alone_misses_no_replica_more_helps() -> None:
    assert alone(PROFILE, WORK, PACE, 0.047) == 1
    assert alone(PROFILE, WORK, PACE, 0.049) == 0
    assert alone(PROFILE, WORK, END, 3.0) == pytest.approx(0.5, abs=1 / 16), "80 tokens take 3.84 s"
    assert nearest(PROFILE, WORK, PACE, 95) == pytest.approx(0.048)
    assert nearest(PROFILE, WORK, END, 95) == pytest.approx(200 / 300 + 80 * 0.048, rel=0.02)
    assert nearest(PROFILE, WORK, END, 99) == pytest.approx(500 / 300 + 80 * 0.048, rel=0.02)
    assert nearest(PROFILE, WORK, END, 50) < 60 / 300 + 80 * 0.048


@pytest.mark.parametrize(("latency", "bound"), [(PACE, 0.075), (END, 6.5)])
def test_a_replica_more_helps_until_nobody_is_late(latency: Latency, bound: float) -> None:
    late = [missed(PROFILE, WORK, latency, bound, 1.2, n) for n in (1, 2, 3, 6, 20)]
    assert late == sorted(late, reverse=True)
    assert late[0] > 0.2
    assert late[-1] < 0.01


def test_a_pace_needs_emptier_replicas_than_first_tokens_do() -> None:
    def needed(latency: Latency, bound: float) -> int:
        engine = Engine(PROFILE, WORK, bound, latency)
        return table(engine, price(engine, 1.0, 0.05, 0.6), 20).replicas(1.0)

    assert needed(Latency.FIRST_TOKEN, 3.0) <= 3
    assert needed(PACE, 0.058) > 4
    assert needed(PACE, 9.0) <= 3, "a bound that nothing misses asks for what carries the load"


def test_waiting_makes_no_pace_slower() -> None:
    assert Engine(PROFILE, WORK, 0.06, PACE).patience == float("inf")
    assert 0 < Engine(PROFILE, WORK, 5.0, END).patience < 5
