"""The misses an objective allows, as a budget: what is left of it says how lean the pool may be. Pure; seconds."""

import math
from dataclasses import dataclass, replace
from typing import Final

WINDOW: Final = 86400.0
"""Over which the objective counts."""
RESERVE: Final = 0.08
"""Share of the allowed misses that is kept."""
NEAR: Final = 1800.0
"""Seconds of requests whose allowance is the measure of how much is left."""
FEWEST: Final = 30.0
GAIN: Final = 2.0
PATIENCE: Final = 1500.0
LEAST_EASE, MOST_EASE = -1.6, 4.0
TRUST: Final = 0.08


@dataclass(frozen=True, slots=True)
class Budget:
    """`left`: misses that may still be; `lean`: what long experience adds, as a logarithm."""

    answered: float = 0.0
    good: float = 0.0
    left: float = 0.0
    lean: float = 0.0

    @property
    def attainment_percent(self) -> float | None:
        return 100 * self.good / self.answered if self.answered else None


def spend(budget: Budget, answered: int, good: int, percentile: float, arrivals: float, seconds: float) -> Budget:
    """After `answered` more answers, of which `good` were in time."""
    keep = math.exp(-seconds / WINDOW)
    share = aim(percentile)
    left = budget.left * keep + share * answered - (answered - good)
    ratio = left / max(FEWEST, share * arrivals * NEAR)
    lean = budget.lean + seconds / PATIENCE * min(max(ratio, -1.0), 0.7)
    return replace(
        budget,
        answered=budget.answered * keep + answered,
        good=budget.good * keep + good,
        left=left,
        lean=min(max(lean, -3.0), 3.0),
    )


def ease(budget: Budget, percentile: float, arrivals: float) -> float:
    """How much leaner than the model says the pool may be, as a logarithm; below 0: how much less lean."""
    ratio = budget.left / max(FEWEST, aim(percentile) * arrivals * NEAR)
    return min(max(GAIN * ratio + budget.lean, LEAST_EASE), MOST_EASE)


def allowed(eased: float, percentile: float) -> float:
    """The share of misses to plan for."""
    return min(0.5, aim(percentile) * math.exp(min(eased, 2.0)))


def trust(eased: float) -> float:
    """By what arrivals are multiplied: the model of the queue errs, and what was attained says which way."""
    return math.exp(-TRUST * eased)


def aim(percentile: float) -> float:
    """The share of misses that uses the budget up, less the reserve."""
    return max(1e-4, (1 - percentile / 100) * (1 - RESERVE))
