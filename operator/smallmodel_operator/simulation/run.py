"""One trace under one policy, and what came of it."""

import itertools
from dataclasses import asdict, dataclass
from typing import Any, Final

from smallmodel_operator.autoscaling.cap import Action, Spending, cap
from smallmodel_operator.autoscaling.profile import EngineProfile
from smallmodel_operator.simulation.baselines import Fixed, Policy
from smallmodel_operator.simulation.pool import Pool
from smallmodel_operator.simulation.trace import Trace

BREACH_WINDOW: Final = 60.0
FLOOR: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Limits:
    """Replicas the policy may have, and what is asked of it."""

    least: int
    most: int
    objective_seconds: float
    percentile: float = 95.0


@dataclass(frozen=True, slots=True)
class Budget:
    """Money for the whole trace, and what happens at its limit."""

    money: float
    action: Action


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run gave. Reversals: changes of direction, up after down or down after up."""

    attainment_percent: float
    replica_hours: float
    actions: int
    reversals: int
    longest_breach_seconds: float
    cost: float
    refused: int = 0

    def value(self) -> dict[str, Any]:
        """As it is printed."""
        value = asdict(self)
        if not self.refused:
            value.pop("refused")
        return value


def simulate(
    trace: Trace,
    profile: EngineProfile,
    policy: Policy,
    limits: Limits,
    hourly_price: float,
    first: int | None = None,
    budget: Budget | None = None,
) -> Outcome:
    """Run the policy over the trace; it begins with the fewest replicas it may have, ready, one at least."""
    begin = max(1, limits.least) if first is None else first
    pool = Pool(trace, profile, limits.objective_seconds, profile.start_seconds, begin)
    moves: list[int] = []
    looks = 0
    while not pool.done:
        looks += 1
        pool.forward(looks * policy.every)
        target = min(max(policy.decide(pool.look()), limits.least), limits.most)
        if budget:
            target = _within(budget, pool, target, limits, hourly_price)
        if target != pool.count:
            moves.append(1 if target > pool.count else -1)
            pool.scale(target)
    hours = pool.replica_seconds() / 3600
    good = sum(f - a <= limits.objective_seconds for f, a in zip(pool.first_tokens, trace.at, strict=True))
    return Outcome(
        round(100 * good / len(trace.at), 3),
        round(hours, 4),
        len(moves),
        sum(a != b for a, b in itertools.pairwise(moves)),
        breach(trace, pool.first_tokens, limits),
        round(hours * hourly_price, 4),
        pool.refused,
    )


def _within(budget: Budget, pool: Pool, target: int, limits: Limits, hourly_price: float) -> int:
    spent = pool.replica_seconds() / 3600 * hourly_price
    spending = Spending(budget.money, spent, pool.now, pool.trace.seconds, hourly_price)
    capped = cap(spending, budget.action, limits.least, limits.most, pool.in_flight)
    pool.refusing = capped.refuse
    return min(max(target, capped.least), capped.most)


def breach(trace: Trace, first_tokens: list[float], limits: Limits) -> float:
    """The longest run of minutes, each with requests of which fewer than the percentile were in time."""
    longest = run = 0
    minute, good, total = 0, 0, 0
    for at, first in zip(trace.at, first_tokens, strict=True):
        now = int(at // BREACH_WINDOW)
        if now != minute:
            run = run + 1 if 100 * good < limits.percentile * total else 0
            longest = max(longest, run)
            run = run if now == minute + 1 else 0
            minute, good, total = now, 0, 0
        good += first - at <= limits.objective_seconds
        total += 1
    run = run + 1 if 100 * good < limits.percentile * total else 0
    return max(longest, run) * BREACH_WINDOW


def ceiling(trace: Trace, profile: EngineProfile, limits: Limits) -> float:
    """The attainment with as many replicas as allowed from the first moment: no policy within the limits has more."""
    most = Limits(limits.most, limits.most, limits.objective_seconds, limits.percentile)
    return simulate(trace, profile, Fixed(limits.most), most, 0.0, limits.most).attainment_percent
