"""When a model sleeps: never while a gateway is silent, never while a request is there."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallmodel_operator.autoscaling.sleep import SleepRequest, decide
from smallmodel_operator.core.traffic import CURRENT_SECONDS, FRESH_SECONDS, GatewayReport, Traffic

SLEEPY = SleepRequest(replicas=2, may_sleep=True, idle_seconds=300)


def said(idle: float, age: float = 0.5, in_flight: int = 0, held: int = 0, name: str = "g") -> GatewayReport:
    return GatewayReport(name, age, routes=True, in_flight=in_flight, held=held, idle=idle)


QUIET = Traffic((said(301, name="g-0"), said(900, name="g-1")))


def test_it_sleeps_when_all_gateways_say_so() -> None:
    count = decide(SLEEPY, 2, 2, QUIET, up_seconds=301)
    assert (count.replicas, count.asleep) == (0, True)


def test_idle_time_counts_from_the_first_ready_not_from_before_a_slow_start() -> None:
    count = decide(SLEEPY, 2, 2, QUIET, up_seconds=100)
    assert (count.replicas, count.asleep) == (2, False)
    assert count.look_again_seconds == 200


@pytest.mark.parametrize(
    "traffic",
    [
        Traffic(),
        Traffic((said(900), said(900, age=FRESH_SECONDS + 1))),
        Traffic((said(900), said(900, in_flight=1))),
        Traffic((said(900), said(900, held=1))),
        Traffic((said(900), said(299))),
        Traffic((said(900), said(900, age=CURRENT_SECONDS + 0.1))),
    ],
    ids=["no gateway", "one is silent", "in flight", "held", "not idle for long", "a request may have come since"],
)
def test_it_stays_awake(traffic: Traffic) -> None:
    count = decide(SLEEPY, 2, 2, traffic, up_seconds=1000)
    assert count.replicas == 2
    assert not count.asleep
    assert count.look_again_seconds is not None, "somebody has to look again"


def test_asleep_it_stays_asleep_until_a_gateway_wakes_it() -> None:
    assert decide(SLEEPY, 0, 0, QUIET).asleep
    assert decide(SLEEPY, 0, 0, Traffic((said(0, held=3),))).replicas == 0


def test_waking_goes_to_one_and_then_to_all() -> None:
    waking = decide(SLEEPY, 1, 0, Traffic((said(0, held=3),)))
    assert (waking.replicas, waking.waking) == (1, True)
    assert decide(SLEEPY, 1, 1, Traffic((said(0, in_flight=1),))).replicas == 2


def test_off_is_off_and_new_is_awake() -> None:
    assert decide(SleepRequest(0, True), 1, 1, QUIET).replicas == 0
    assert not decide(SleepRequest(0, True), 1, 1, QUIET).asleep
    assert decide(SLEEPY, None, 0, QUIET).replicas == 2


def test_one_that_may_not_sleep_never_does() -> None:
    assert decide(SleepRequest(3), 3, 3, QUIET).replicas == 3
    assert decide(SleepRequest(3), 0, 0, QUIET).replicas == 3


reports = st.lists(
    st.builds(
        GatewayReport,
        st.sampled_from(["g-0", "g-1", "g-2"]),
        st.floats(0, 60),
        routes=st.booleans(),
        in_flight=st.integers(0, 3),
        held=st.integers(0, 3),
        idle=st.floats(0, 1000),
    ),
    max_size=4,
)


@given(reports, st.integers(1, 5), st.integers(0, 5), st.floats(0, 1000))
def test_a_model_somebody_may_be_using_is_never_put_to_sleep(
    found: list[GatewayReport], current: int, available: int, up_seconds: float
) -> None:
    traffic = Traffic(tuple(found))
    count = decide(SLEEPY, current, available, traffic, up_seconds)
    if (
        any(not r.fresh or r.in_flight or r.held or r.idle < SLEEPY.idle_seconds for r in found)
        or not found
        or up_seconds < 300
    ):
        assert count.replicas > 0
    assert 0 <= count.replicas <= max(SLEEPY.replicas, current)
