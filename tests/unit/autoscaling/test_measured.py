"""From what calibration measured to what the controller computes with."""

from dataclasses import replace

import pytest

from smallmodel_operator.autoscaling.belief import Belief
from smallmodel_operator.autoscaling.measured import UNMEASURED, floor, iteration, profile
from smallmodel_operator.autoscaling.queueing import Work

CAPACITY = {
    "prefillTokensPerSecond": "310",
    "decodeTokensPerSecond": [
        {"concurrency": n, "tokensPerSecond": f"{n / (0.04 + 0.008 * n):.4f}"} for n in (1, 2, 4, 8)
    ],
    "timeToFirstTokenMilliseconds": 210,
    "coldStartSeconds": 12,
}


def test_the_profile_is_the_line_through_what_was_measured() -> None:
    made = profile(CAPACITY, 8)
    assert made.iteration_base_seconds == pytest.approx(0.04, rel=1e-3)
    assert made.iteration_per_sequence_seconds == pytest.approx(0.008, rel=1e-3)
    assert (made.prefill_tokens_per_second, made.slots, made.start_seconds) == (310, 8, 12)
    assert profile(CAPACITY, 8, 3.5).start_seconds == 3.5, "as gateways saw it"


@pytest.mark.parametrize("capacity", [{}, {"decodeTokensPerSecond": []}, {"prefillTokensPerSecond": ""}])
def test_what_was_not_measured_is_guessed(capacity: dict[str, object]) -> None:
    assert profile(capacity, 1) == UNMEASURED


@pytest.mark.parametrize(
    ("points", "base", "each"),
    [([(1, 20.0)], 0.05, 0.0), ([(1, 20.0), (2, 80.0)], 0.0375, 0.0), ([(1, 100.0), (4, 40.0)], 1e-6, 0.022)],
    ids=["one point", "a batch that is faster", "slots that only take turns"],
)
def test_no_line_goes_below_zero(points: list[tuple[int, float]], base: float, each: float) -> None:
    assert iteration(points) == pytest.approx((base, each), rel=0.01)


def test_the_floor_is_measured_at_once_and_learnt_from_prompts() -> None:
    engine = profile(CAPACITY, 8)
    assert floor(engine, Belief(), 95, 0.21) == 0.21
    seen = Belief(work=Work(((100.0, 0.9), (1000.0, 0.1)), 50), known=30)
    assert floor(engine, seen, 90, 0.21) == pytest.approx(100 / 310 + 0.048, rel=1e-3)
    assert floor(engine, seen, 95, 0.21) == pytest.approx(1000 / 310 + 0.048, rel=1e-3)
    assert floor(engine, replace(seen, speed=2.0), 95, 0.21) == pytest.approx((1000 / 310 + 0.048) / 2, rel=1e-3)
