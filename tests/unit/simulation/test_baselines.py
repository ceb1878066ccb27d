"""Other autoscalers do what their rules say."""

import pytest

from smallmodel_operator.autoscaling.observation import Counters, Observation
from smallmodel_operator.simulation.baselines import Hpa, Knative, KubeAi


def look(
    at: float, ready: int, in_flight: int = 0, starting: int = 0, waiting: int = 0, area: float = 0
) -> Observation:
    return Observation(at, ready, starting, Counters(request_seconds=area), in_flight, waiting)


def hpa(queue: bool = False) -> Hpa:
    return Hpa(5, queue, 1, 16)


def test_hpa_goes_up_by_the_ratio_rounded_up() -> None:
    assert hpa().decide(look(15, 4, 31)) == 7


@pytest.mark.parametrize("in_flight", [19, 20, 21])
def test_hpa_leaves_a_tenth_alone(in_flight: int) -> None:
    assert hpa().decide(look(15, 4, in_flight)) == 4


def test_hpa_doubles_at_most_or_adds_four() -> None:
    assert hpa().decide(look(15, 1, 500)) == 5
    assert hpa().decide(look(15, 6, 500)) == 12


def test_hpa_takes_pods_that_start_for_idle_ones() -> None:
    """12 in flight on one: 2.4 times the target; with the two that start 0.8 times: it waits."""
    assert hpa().decide(look(15, 1, 12, starting=2)) == 3
    assert hpa().decide(look(15, 1, 30, starting=2)) == 6


def test_hpa_goes_down_to_the_highest_of_five_minutes() -> None:
    policy = hpa()
    assert policy.decide(look(15, 8, 38)) == 8
    for at in range(30, 315, 15):
        assert policy.decide(look(at, 8, 5)) == 8
    assert policy.decide(look(330, 8, 5)) == 1


def test_hpa_on_a_queue_sees_no_load_where_nothing_waits() -> None:
    policy = hpa(queue=True)
    policy.decide(look(0, 4, 30))
    assert policy.decide(look(400, 4, 30)) == 1
    assert hpa(queue=True).decide(look(15, 2, 30, waiting=30)) == 6


def test_knative_panics_on_six_seconds_and_does_not_go_down_while_it_does() -> None:
    policy = Knative(5)
    assert policy.decide(look(2, 1, area=100)) == 10
    assert policy.decide(look(4, 10, area=100)) == 10
    for at in range(6, 62, 2):
        assert policy.decide(look(at, 10, area=100)) == 10
    assert policy.decide(look(66, 10, area=100)) == 5, "half at most at a time"


def test_kubeai_takes_the_mean_of_ten_minutes_and_waits_for_three_decisions() -> None:
    policy = KubeAi(1)
    assert [policy.decide(look(10.0 * i, 1, 6)) for i in range(1, 61)][9::10] == [1, 2, 3, 4, 5, 6]
    found = [policy.decide(look(600 + 10.0 * i, 6, 0)) for i in range(1, 14)]
    assert found[:2] == [6, 6]
    assert found[-1] == 5
