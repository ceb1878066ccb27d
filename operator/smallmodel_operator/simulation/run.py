"""One trace under one policy, and what came of it."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final

from smallmodel_operator.autoscaling.cap import Action, Spending, cap
from smallmodel_operator.autoscaling.profile import EngineProfile
from smallmodel_operator.core.scaling import Bounds, Latency
from smallmodel_operator.simulation.baselines import Fixed, Policy
from smallmodel_operator.simulation.pool import Pool
from smallmodel_operator.simulation.trace import Trace

BREACH_WINDOW: Final = 60.0
FLOOR: Final = 1e-9
FIRST_LOOK: Final = 1.0
"""Sooner than any policy here looks."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Replicas the policy may have, and what is asked of it: seconds as in `Bounds`."""

    least: int
    most: int
    objective_seconds: float
    percentile: float = 95.0
    inter_token: float = 0.0
    end_to_end: float = 0.0

    @property
    def bounds(self) -> Bounds:
        return Bounds(self.objective_seconds, self.inter_token, self.end_to_end)


@dataclass(frozen=True, slots=True)
class Budget:
    """Money for the whole trace, and what happens at its limit."""

    money: float
    action: Action


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run gave. Reversals: changes of direction, up after down or down after up.

    `attainment_percent` is that of the bound that was attained least; `attained_percent` has each of several.
    """

    attainment_percent: float
    replica_hours: float
    actions: int
    reversals: int
    longest_breach_seconds: float
    cost: float
    refused: int = 0
    attained_percent: Mapping[str, float] = field(default_factory=dict)

    def value(self) -> dict[str, Any]:
        """As it is printed."""
        value = asdict(self)
        if not self.refused:
            value.pop("refused")
        if len(self.attained_percent) < 2:
            value.pop("attained_percent")
        return value


def simulate(
    trace: Trace,
    profile: EngineProfile,
    policy: Policy,
    limits: Limits,
    hourly_price: float,
    first: int | None = None,
    budget: Budget | None = None,
    seen: Callable[[float], None] | None = None,
) -> Outcome:
    """Run the policy over the trace; it begins with the fewest replicas it may have, ready, one at least.

    `seen` is told the second that was reached, at each look of the policy.
    """
    begin = max(1, limits.least) if first is None else first
    inter, end = limits.inter_token, limits.end_to_end
    pool = Pool(
        trace, profile, limits.objective_seconds, profile.start_seconds, begin, inter_token=inter, end_to_end=end
    )
    moves: list[int] = []
    looks = 0
    while not pool.done:
        looks += 1
        pool.forward(looks * policy.every)
        target = min(max(policy.decide(pool.look()), limits.least), limits.most)
        if seen:
            seen(pool.now)
        if budget:
            target = _within(budget, pool, target, limits, hourly_price)
        if target != pool.count:
            moves.append(1 if target > pool.count else -1)
            pool.scale(target)
    hours = pool.replica_seconds() / 3600
    found = judged(trace, pool.first_tokens, pool.ends, limits.bounds)
    attained = {kind.value: _percent(good) for kind, good in found.items()}
    return Outcome(
        min(attained.values()),
        round(hours, 4),
        len(moves),
        sum(a != b for a, b in itertools.pairwise(moves)),
        max(breach(trace.at, good, limits.percentile) for good in found.values()),
        round(hours * hourly_price, 4),
        pool.refused,
        attained,
    )


def judged(
    trace: Trace, first_tokens: Sequence[float], ends: Sequence[float], bounds: Bounds
) -> Mapping[Latency, Sequence[bool | None]]:
    """Whether each request was within each bound that is asked; None: it has fewer than two tokens to time."""
    good: dict[Latency, list[bool | None]] = {}
    for kind, seconds in bounds.asked:
        if kind is Latency.INTER_TOKEN:
            times = zip(first_tokens, ends, trace.generated, strict=True)
            good[kind] = [e - f <= seconds * (n - 1) if n > 1 else None for f, e, n in times]
        else:
            came = first_tokens if kind is Latency.FIRST_TOKEN else ends
            good[kind] = [c - a <= seconds for c, a in zip(came, trace.at, strict=True)]
    return good


def _percent(good: Sequence[bool | None]) -> float:
    counted = sum(g is not None for g in good)
    return round(100 * sum(g is True for g in good) / counted, 3) if counted else 100.0


def _within(budget: Budget, pool: Pool, target: int, limits: Limits, hourly_price: float) -> int:
    spent = pool.replica_seconds() / 3600 * hourly_price
    spending = Spending(budget.money, spent, pool.now, pool.trace.seconds, hourly_price)
    capped = cap(spending, budget.action, limits.least, limits.most, pool.in_flight)
    pool.refusing = capped.refuse
    return min(max(target, capped.least), capped.most)


def breach(arrived: Sequence[float], judged: Sequence[bool | None], percentile: float) -> float:
    """The longest run of minutes, each with requests of which fewer than the percentile were in time."""
    longest = run = 0
    minute, good, total = 0, 0, 0
    for at, in_time in zip(arrived, judged, strict=True):
        now = int(at // BREACH_WINDOW)
        if now != minute:
            run = run + 1 if 100 * good < percentile * total else 0
            longest = max(longest, run)
            run = run if now == minute + 1 else 0
            minute, good, total = now, 0, 0
        good += in_time is True
        total += in_time is not None
    run = run + 1 if 100 * good < percentile * total else 0
    return max(longest, run) * BREACH_WINDOW


def ceiling(trace: Trace, profile: EngineProfile, limits: Limits, begin: int | None = None) -> float:
    """The attainment with as many replicas as allowed from the first moment: no policy within the limits has more.

    With `begin` replicas ready: all others are asked for within the first second and come a start-up time later; no
    policy that begins so has more.
    """
    most = replace(limits, least=limits.most)
    every, begin = (3600.0, limits.most) if begin is None else (FIRST_LOOK, begin)
    return simulate(trace, profile, Fixed(limits.most, every), most, 0.0, begin).attainment_percent
