"""The misses an objective allows, as a budget: what is left of it says how lean the pool may be. Pure; seconds."""

import math
from dataclasses import dataclass
from typing import Final

WINDOW: Final = 86400.0
"""Over which the objective counts."""
RESERVE, MOST_RESERVE, RESERVE_STARTS, EARLY, EARLY_ANSWERS = 0.15, 0.1, 500.0, 0.18, 8000.0
"""Share of the allowed misses that is kept: more of it the longer a start takes, for then a surprise costs more, and
while few requests were answered. What was kept early is given back as more are answered."""
NEAR: Final = 1800.0
"""Seconds of requests whose allowance is the measure of how much is left."""
FEWEST: Final = 30.0
GAIN: Final = 2.5
LEAST_WANT, MOST_WANT = 0.36, 1.6
"""Of the allowed share: an overdrawn budget is paid back slowly, for nothing is gained by more replicas than help.
Else misses of the first start, which nobody could avoid, pay for twice the replicas all day."""
ABOVE_FLOOR: Final = 1.3
PATIENCE: Final = 1000.0
"""Seconds in which an error as large as the allowed share is learnt."""
LEAST_LEAN, FIRST_LEAN, MOST_LEAN = -1.6, 0.5, 1.0
"""The model of the queue errs on the safe side, so it begins above 0. It ends not far above: nothing late on replicas
that were kept though nobody needed them says little of how many are enough."""
LEANER, LEANER_START = 1.25, 60.0
"""It may end so much further above where a start takes no time, none where it takes a minute: what was too lean is soon
made good."""
TRUST: Final = 0.08
EASIEST: Final = 0.6


@dataclass(frozen=True, slots=True)
class Budget:
    """`left`: misses that may still be; `lean`: what long experience adds, as a logarithm."""

    answered: float = 0.0
    good: float = 0.0
    left: float = 0.0
    reserve: float = RESERVE
    floor: float = 0.0
    """Share that is late with any number of replicas: reading the prompt alone takes too long."""
    lean: float = FIRST_LEAN

    @property
    def attainment_percent(self) -> float | None:
        return 100 * self.good / self.answered if self.answered else None


def spend(
    budget: Budget,
    answered: int,
    good: int,
    percentile: float,
    arrivals: float,
    seconds: float,
    settled: bool = True,
    start: float = 0.0,
) -> Budget:
    """After `answered` more answers, of which `good` were in time; `settled`: no replica starts, no backlog."""
    keep = math.exp(-seconds / WINDOW)
    budget = Budget(
        budget.answered, budget.good, budget.left, _reserve(budget.answered, start), budget.floor, budget.lean
    )
    share, late = aim(budget, percentile), answered - good
    lean = budget.lean
    if settled:  # what is late while replicas start says nothing of how many are enough
        error = want(budget, percentile, arrivals) * answered - late
        lean = min(max(lean + error / (max(FEWEST, share * arrivals * PATIENCE)), LEAST_LEAN), _most_lean(start))
    answered_all, good_all = budget.answered * keep + answered, budget.good * keep + good
    left = share * answered_all - (answered_all - good_all)
    return Budget(answered_all, good_all, left, budget.reserve, budget.floor, lean)


def _reserve(answered: float, start: float) -> float:
    return RESERVE + min(MOST_RESERVE, start / RESERVE_STARTS) + EARLY * math.exp(-answered / EARLY_ANSWERS)


def _most_lean(start: float) -> float:
    return MOST_LEAN + LEANER * max(0.0, 1 - start / LEANER_START)


def want(budget: Budget, percentile: float, arrivals: float) -> float:
    """The share of misses that brings the budget to its end."""
    share = aim(budget, percentile)
    ratio = budget.left / max(FEWEST, share * arrivals * NEAR)
    least = max(LEAST_WANT * share, min(share, ABOVE_FLOOR * budget.floor))
    return min(max(share * math.exp(min(GAIN * ratio, 3.0)), least), MOST_WANT * share)


def allowed(budget: Budget, percentile: float, arrivals: float) -> float:
    """The share of misses to ask the model for, so that the wanted one comes about."""
    return min(0.5, want(budget, percentile, arrivals) * math.exp(min(budget.lean, 2.0)))


def trust(budget: Budget) -> float:
    """By what arrivals are multiplied: the model of the queue errs, and what was attained says which way."""
    return math.exp(-TRUST * budget.lean)


def easiest(budget: Budget) -> float:
    """The least load to plan for; less only where experience says that it helps."""
    return EASIEST * math.exp(0.4 * min(0.0, budget.lean))


def aim(budget: Budget, percentile: float) -> float:
    """The share of misses that uses the budget up, less the reserve: of what replicas can do something about."""
    most = 1 - percentile / 100
    return max(1e-4, most - budget.reserve * max(most - budget.floor, most / 2))
