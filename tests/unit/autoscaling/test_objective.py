"""The controller of objectives, tick by tick."""

from dataclasses import replace

import pytest

from smallmodel_operator.autoscaling import demand
from smallmodel_operator.autoscaling.belief import Belief, learn
from smallmodel_operator.autoscaling.budget import (
    LEANER,
    LEAST_WANT,
    MOST_LEAN,
    Budget,
    aim,
    allowed,
    spend,
    trust,
    want,
)
from smallmodel_operator.autoscaling.objective import Decision, Objective, State, decide
from smallmodel_operator.autoscaling.observation import Counters, Observation
from smallmodel_operator.autoscaling.profile import EngineProfile
from smallmodel_operator.autoscaling.prompts import BINS, bin_of

PROFILE = EngineProfile(0.040, 0.008, 300, 0.6, 8, 12)
ASKED = Objective(3.0, 95, 1, 8)


class Clock:
    """Feeds the controller as gateways would, on as many replicas as it asks for."""

    def __init__(self, replicas: int = 1) -> None:
        self.state, self.count, self.at = State(), replicas, 0.0
        self.counters = Counters()
        self.decision = Decision(replicas, str)

    def tick(self, rate: float, good: float = 1.0, silent: bool = False, in_flight: int = 1) -> int:
        self.at += 5
        arrived = round(5 * rate)
        old = self.counters
        prompts = tuple(c + (arrived if i == bin_of(150) else 0) for i, c in enumerate(old.prompts))
        self.counters = Counters(
            old.arrivals + arrived,
            old.prompt_tokens + 150 * arrived,
            old.answered + arrived,
            old.good + round(good * arrived),
            old.ended + arrived,
            old.generated_tokens + 50 * arrived,
            old.decode_seconds + 49 * 0.09 * arrived,
            old.decode_tokens + 49 * arrived,
            prompts=prompts,
        )
        look = Observation(self.at, self.count, 0, None if silent else self.counters, in_flight, 0, 12.0)
        self.state, self.decision = decide(self.state, look, ASKED, PROFILE)
        self.count = self.decision.replicas
        return self.count

    def run(self, rate: float, seconds: float, good: float = 1.0) -> int:
        for _ in range(int(seconds / 5)):
            self.tick(rate, good, in_flight=round(5 * rate))
        return self.count


def test_it_follows_a_step_up_within_half_a_minute() -> None:
    clock = Clock()
    assert clock.run(0.4, 300) == 1
    assert clock.run(3, 30) >= 3


def test_it_goes_down_when_the_hold_is_over_and_not_before() -> None:
    clock = Clock()
    high = clock.run(3, 600)
    assert clock.run(0.4, 60) == high
    assert clock.run(0.4, 1500) == 1


@pytest.mark.parametrize("silence", [10, 600])
def test_silent_gateways_are_no_reason_to_go_down(silence: int) -> None:
    clock = Clock()
    high = clock.run(3, 600)
    for _ in range(silence // 5):
        clock.tick(0, silent=True)
        assert clock.count == high
    assert "unknown never scales down" in clock.decision.why
    assert clock.tick(3) >= high


@pytest.mark.parametrize("jump", [-7200.0, 7200.0])
def test_a_clock_that_jumps_is_no_reason_to_go_down_and_it_goes_on_afterwards(jump: float) -> None:
    clock = Clock()
    high = clock.run(3, 600)
    clock.at += jump
    for _ in range(11):
        assert clock.tick(3) >= high
    assert clock.run(0.4, 1500) == 1


def test_gateways_that_count_anew_are_no_reason_to_go_down() -> None:
    clock = Clock()
    high = clock.run(3, 600)
    clock.counters = Counters()
    assert clock.tick(3) >= high


def test_after_a_restart_nothing_goes_down_for_a_minute() -> None:
    clock = Clock(6)
    assert [clock.tick(0) for _ in range(11)] == [6] * 11


def test_more_misses_make_it_less_lean() -> None:
    lean, careful = Clock(), Clock()
    lean.run(2, 1200, good=0.99)
    careful.run(2, 1200, good=0.9)
    assert careful.count > lean.count


def test_why_says_numbers() -> None:
    clock = Clock()
    clock.run(3, 300)
    for part in ("requests/s planned for", "% of them late", "95 % within 3 s", "times its profile", "seconds idle"):
        assert part in clock.decision.why


def test_a_profile_that_errs_is_found_out() -> None:
    """50 tokens at 90 ms each with five in the batch: the profile says 80."""
    before, belief = Counters(), Belief()
    for _ in range(60):
        now = Counters(
            before.arrivals + 5,
            ended=before.ended + 5,
            generated_tokens=before.generated_tokens + 250,
            decode_seconds=before.decode_seconds + 5 * 49 * 0.09,
            decode_tokens=before.decode_tokens + 5 * 49,
        )
        belief, before = learn(belief, PROFILE.faster(1.4), before, now, 1, 5.0), now
    exact = PROFILE.iteration_seconds(49 * 0.09 + 1) / 0.09 / 1.4
    assert belief.speed == pytest.approx(exact, rel=0.06)


def test_the_budget_follows_what_was_late() -> None:
    budget = Budget()
    good = spend(budget, 1000, 1000, 95, 1, 5)
    bad = spend(budget, 1000, 800, 95, 1, 5)
    assert want(good, 95, 1) > want(budget, 95, 1) > want(bad, 95, 1)
    assert allowed(good, 95, 1) > allowed(budget, 95, 1) > allowed(bad, 95, 1)
    assert trust(good) < trust(budget) < trust(bad)
    assert spend(budget, 1000, 800, 95, 1, 5, settled=False).lean == budget.lean
    assert good.attainment_percent == 100


def test_a_debt_is_paid_back_slowly_and_early_care_is_given_back() -> None:
    debt = spend(Budget(), 1000, 0, 95, 1, 5)
    assert want(debt, 95, 1) >= LEAST_WANT * aim(debt, 95)
    early, later = spend(Budget(), 1000, 962, 95, 1, 5), Budget()
    for _ in range(40):
        later = spend(later, 1000, 962, 95, 1, 5)
    assert early.left < 0 < later.left


def test_what_replicas_can_do_nothing_about_is_not_kept_back() -> None:
    hard = Budget(floor=0.04)
    assert aim(Budget(), 95) < aim(hard, 95) < 0.05


def test_a_backlog_takes_its_replica_out_of_the_count_and_asks_for_no_more() -> None:
    """Six hundred wait at one replica; eight would not help them, for they stay where they are."""
    few, many = Clock(2), Clock(2)
    few.run(0.4, 300)
    many.run(0.4, 300)
    base = few.count
    many.at += 5
    old = many.counters
    many.counters = replace(old, arrivals=old.arrivals + 2)
    look = Observation(many.at, base, 0, many.counters, 600, 600, 12.0)
    _, decision = decide(many.state, look, ASKED, PROFILE)
    assert base < decision.replicas <= 2 * base


def test_a_step_counts_as_soon_as_it_is_more_than_chance() -> None:
    seen: demand.Seen = ()
    for i in range(61):
        seen = demand.add(seen, 5.0 * i, 5 * i)
    assert 0.85 < demand.certain(seen, 12) <= 1.05
    for i in range(1, 5):
        seen = demand.add(seen, 300 + 5.0 * i, 300 + 25 * i)
    assert demand.certain(seen, 12) > 3.5


def test_a_slow_start_is_not_waited_with_until_all_is_sure() -> None:
    seen: demand.Seen = ()
    for i in range(61):
        seen = demand.add(seen, 5.0 * i, 5 * i)
    for i in range(1, 5):
        seen = demand.add(seen, 300 + 5.0 * i, 300 + 8 * i)
    quick, slow, slowest = (demand.certain(seen, start) for start in (12, 120, 3600))
    assert quick < 1.25 < 1.35 < slow <= slowest
    assert slowest < 1.6, "some of a window's noise is always doubted"


def test_much_leaner_than_the_model_only_where_a_start_is_quick() -> None:
    ends = []
    for start in (0.0, 12.0, 60.0, 600.0):
        budget = Budget()
        for _ in range(2000):
            budget = spend(budget, 50, 50, 95, 10, 5, start=start)
        ends.append(budget.lean)
    assert ends == pytest.approx([MOST_LEAN + LEANER, MOST_LEAN + 0.8 * LEANER, MOST_LEAN, MOST_LEAN])


def test_counters_that_went_back_begin_anew() -> None:
    seen = demand.add(demand.add((), 0.0, 100), 5.0, 50)
    assert seen == ((5.0, 50),)
    assert demand.rate(seen, 60) == (0.0, 0.0)


def test_bins_hold_every_length() -> None:
    assert [bin_of(n) for n in (0, 1, 8)] == [0, 0, 0]
    assert bin_of(10**7) == BINS - 1
