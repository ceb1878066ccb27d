"""Replicas that hold a latency objective for as little as they must. Pure, clocked from outside; seconds.

Each tick: what came and what it took corrects the belief; the budget of misses says what a replica may cost; the
table at that price says how many the arrivals need; the hold says for how long replicas are kept that nobody needs.
Unknown never scales down.
"""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

from smallmodel_operator.autoscaling import budget as budgets
from smallmodel_operator.autoscaling import demand, hold
from smallmodel_operator.autoscaling.belief import Belief, learn
from smallmodel_operator.autoscaling.budget import Budget
from smallmodel_operator.autoscaling.hold import Hold
from smallmodel_operator.autoscaling.observation import Counters, Observation
from smallmodel_operator.autoscaling.profile import EngineProfile
from smallmodel_operator.autoscaling.table import Engine, Table, engine_of, price, table
from smallmodel_operator.core.scaling import Latency
from smallmodel_operator.core.scaling import Objective as Objective

TICK_SECONDS: Final = 5.0
SLACK: Final = 1.05
"""To go down, fewer replicas must be enough for this much more."""
FORGET_TYPICAL: Final = 4 * 3600.0
UP_FACTOR, UP_STEP = 2, 4
PRICE_STEP: Final = 1.12
LEAST_WARM_UP: Final = 60.0
SHORT: Final = 30.0
LONGEST_GAP: Final = 60.0
DRAIN_SECONDS: Final = 60.0
"""In which a backlog should be gone, or in a start. It stays where it was routed: more replicas than those that it
keeps busy help nobody, they only keep new requests from it."""
IDLE_SECONDS: Final = 300.0
"""Nobody asks for so long: then it may sleep, where the least is 0."""
FEW_ANSWERS: Final = 10
BUSY: Final = 0.75
"""Share of slots in use that a pool is given while nothing more is known."""


@dataclass(frozen=True, slots=True)
class State:
    """What is kept between ticks. Empty after a restart: then nothing goes down for a while."""

    began: float | None = None
    counters: Counters | None = None
    counters_at: float = 0.0
    seen: demand.Seen = ()
    short: float = 0.0
    belief: Belief = field(default_factory=Belief)
    budgets: tuple[Budget, ...] = (Budget(),)
    """Of the misses each bound allows, in the order they are asked in."""
    tightest: int = 0
    """The one whose bound takes the most replicas."""
    hold: Hold = field(default_factory=Hold)
    typical: float = 0.0
    typical_weight: float = 0.0
    direction: int = 0
    turned: float = -math.inf
    start_seconds: float | None = None
    asked: float = -math.inf
    """When somebody was there last."""

    @property
    def budget(self) -> Budget:
        return self.budgets[self.tightest]


@dataclass(frozen=True, slots=True)
class Decision:
    """The replicas to have, and `words` that say why in one sentence: most looks say nothing new, and need none.
    `known`: the gateways said what comes; `exhausted`: more are needed than are allowed."""

    replicas: int
    words: Callable[[], str]
    known: bool = True
    exhausted: bool = False

    @property
    def why(self) -> str:
        return self.words()


def decide(state: State, look: Observation, objective: Objective, profile: EngineProfile) -> tuple[State, Decision]:
    """One tick."""
    current = look.ready + look.starting
    start = look.start_seconds or state.start_seconds
    if state.began is None or start != state.start_seconds:
        state = replace(state, began=look.at if state.began is None else state.began, start_seconds=start)
    if look.counters is None or (state.counters and look.at == state.counters_at):
        return _unknown(state, current, objective)
    if state.counters and not 0 < look.at - state.counters_at <= LONGEST_GAP:
        state = _resumed(state, look.at)
    state = _learnt(_judged_by(state, objective), look, look.counters, profile, objective)
    engines = _engines(state, objective, profile)
    state = _tightest(_floored(state, engines), engines, objective, profile)
    engine = engines[state.tightest]
    paid = _price(state, engine, objective)
    plan = table(engine, paid, objective.most)
    state, need, low, rate = _needs(state, look, engine, plan, profile)
    wanted, bound = _moved(state, look, objective, profile, need, low)
    state = _turn(state, look.at, wanted - current)
    words = partial(_why, state, objective, engine, wanted, current, rate, bound)
    return state, Decision(wanted, words, exhausted=rate * budgets.trust(state.budget) > plan.carries[-1])


def gains(state: State, objective: Objective, profile: EngineProfile) -> tuple[float, ...]:
    """Misses a second that each replica avoids, the first one first: what a shared pool gives room for."""
    missed = _engines(state, objective, profile)[state.tightest].curves.missed
    rate = max(demand.certain(state.seen, 0.0), 1e-4)
    late = [2 * rate, *(rate * min(2.0, missed(rate, n)) for n in range(1, objective.most + 1))]
    found: list[float] = []
    for before, after in itertools.pairwise(late):
        found.append(min(max(0.0, before - after), found[-1] if found else math.inf))
    return tuple(found)


def _floored(state: State, engines: tuple[Engine, ...]) -> State:
    """With what misses each bound with any number of replicas."""
    floors = [e.alone for e in engines]
    if floors == [b.floor for b in state.budgets]:
        return state
    return replace(state, budgets=tuple(replace(b, floor=f) for b, f in zip(state.budgets, floors, strict=True)))


def _judged_by(state: State, objective: Objective) -> State:
    """With a budget for each bound."""
    bounds = len(objective.bounds.asked)
    return state if len(state.budgets) == bounds else replace(state, budgets=(Budget(),) * bounds, tightest=0)


def _engines(state: State, objective: Objective, profile: EngineProfile) -> tuple[Engine, ...]:
    real = profile.faster(state.belief.speed)
    return tuple(engine_of(real, state.belief.work, seconds, kind) for kind, seconds in objective.bounds.asked)


def _tightest(state: State, engines: tuple[Engine, ...], objective: Objective, profile: EngineProfile) -> State:
    """With the bound that takes the most replicas for what comes now; each has its own price and its own table."""
    if len(engines) == 1:
        return state
    rate = demand.certain(state.seen, state.start_seconds or profile.start_seconds)

    def taken(number: int) -> tuple[int, float]:
        seen = replace(state, tightest=number)
        plan = table(engines[number], _price(seen, engines[number], objective), objective.most)
        planned = rate * budgets.trust(seen.budget) * SLACK
        count = plan.replicas(planned)
        return count, planned / max(plan.carries[count - 1], 1e-9)

    return replace(state, tightest=max(range(len(engines)), key=taken))


def _resumed(state: State, at: float) -> State:
    """After a gap, or a clock that jumped: what was learnt stays, spans begin anew, nothing goes down yet."""
    return replace(state, began=at, counters=None, seen=(), short=0.0, turned=min(state.turned, at))


def _unknown(state: State, current: int, objective: Objective) -> tuple[State, Decision]:
    kept = min(max(current, objective.least), objective.most)
    words = f"{kept} kept: no gateway says what comes, and unknown never scales down".__str__
    return state, Decision(kept, words, known=False)


def _learnt(state: State, look: Observation, now: Counters, profile: EngineProfile, objective: Objective) -> State:
    before = state.counters
    asked = look.at if look.in_flight or before is None or now.arrivals != before.arrivals else state.asked
    if before is None or now.arrivals < before.arrivals or now.ended < before.ended:
        # The first look, or gateways that began anew: what they counted until now belongs to no span of time.
        seen = demand.add((), look.at, now.arrivals)
        return replace(state, counters=now, counters_at=look.at, seen=seen, asked=asked)
    seconds = look.at - state.counters_at
    arrived = now.arrivals - before.arrivals
    keep = math.exp(-seconds / FORGET_TYPICAL)
    judged = [
        (counted - b_counted, good - b_good)
        for (counted, good), (b_counted, b_good) in zip(
            now.judged(objective.bounds), before.judged(objective.bounds), strict=True
        )
    ]
    start = state.start_seconds or profile.start_seconds
    settled = not look.starting and look.waiting <= look.ready
    typical = state.typical * keep + arrived
    weight = state.typical_weight * keep + seconds
    return replace(
        state,
        counters=now,
        counters_at=look.at,
        seen=demand.add(state.seen, look.at, now.arrivals),
        short=state.short + (1 - math.exp(-seconds / SHORT)) * (arrived / seconds - state.short),
        belief=learn(state.belief, profile, before, now, look.ready, seconds),
        budgets=tuple(
            budgets.spend(b, *seen, objective.percentile, typical / weight, seconds, settled, start)
            for b, seen in zip(state.budgets, judged, strict=True)
        ),
        typical=typical,
        typical_weight=weight,
        asked=asked,
    )


def _price(state: State, engine: Engine, objective: Objective) -> float:
    """In misses a second and replica, in steps: each new price costs a new table."""
    usual = _usual(state)
    allowed = budgets.allowed(state.budget, objective.percentile, usual)
    exact = price(engine, usual * budgets.trust(state.budget), allowed, budgets.easiest(state.budget))
    return PRICE_STEP ** round(math.log(exact, PRICE_STEP))


def _usual(state: State) -> float:
    return state.typical / state.typical_weight if state.typical_weight else 1.0


def _needs(
    state: State, look: Observation, engine: Engine, plan: Table, profile: EngineProfile
) -> tuple[State, int, int, float]:
    """The replicas what comes now needs, those the hold keeps, and the rate."""
    start = state.start_seconds or profile.start_seconds
    trust = budgets.trust(state.budget)
    rate = demand.certain(state.seen, start)
    slack = plan.replicas(rate * trust * SLACK)
    rate += _stuck(look, engine, start)
    need = plan.replicas(rate * trust)
    if state.belief.known < FEW_ANSWERS and (not look.ready or look.waiting <= look.ready):
        # How long answers are is not known yet; how many wait for one is. Where they queue, a guess is all there is.
        full = max(1, math.ceil(look.in_flight / (BUSY * engine.slots)))
        need, slack = min(need, full), min(slack, full)
    seconds = look.at - state.seen[-2][0] if len(state.seen) > 1 else 0.0
    held = hold.pass_by(state.hold, slack, look.ready + look.starting, seconds)
    return replace(state, hold=held), need, hold.keep(held, start), rate


def _stuck(look: Observation, engine: Engine, start: float) -> float:
    """Arrivals a second that what waits amounts to; at most what those it waits at would have carried."""
    backlog = max(0, look.waiting - look.ready) / max(DRAIN_SECONDS, start)
    return min(backlog, max(1, look.ready) * engine.capacity)


def _moved(
    state: State, look: Observation, objective: Objective, profile: EngineProfile, need: int, low: int
) -> tuple[int, str]:
    """The replicas to have, within every guard, and what binds."""
    current = look.ready + look.starting
    start = state.start_seconds or profile.start_seconds
    inside = min(max(current, objective.least), objective.most)
    if inside != current:
        return inside, "the limits say so"
    if not objective.least and look.at - state.asked >= (IDLE_SECONDS if current else 1e-9):
        need = low = 0
    free = look.at - state.turned >= start
    if need > current:
        if state.direction < 0 and not free:
            return current, "the direction changed less than a start-up time ago"
        steps = min(need, max(UP_FACTOR * current, current + UP_STEP))
        wanted = min(steps, objective.most)
        return wanted, "" if wanted == need else "no more are allowed" if wanted == objective.most else "step by step"
    if low >= current:
        return current, ""
    assert state.began is not None
    if look.at - state.began < max(LEAST_WARM_UP, start) or look.starting or look.waiting > look.ready:
        return current, "it waits until what runs has settled"
    if state.direction > 0 and not free:
        return current, "the direction changed less than a start-up time ago"
    return max(low, objective.least), ""


def _turn(state: State, at: float, change: int) -> State:
    if not change:
        return state
    direction = 1 if change > 0 else -1
    turned = at if state.direction and direction != state.direction else state.turned
    return replace(state, direction=direction, turned=turned)


def _why(state: State, objective: Objective, engine: Engine, wanted: int, current: int, rate: float, bound: str) -> str:
    verb = f"{wanted} instead of {current}" if wanted != current else f"{wanted} kept"
    measured = "; ".join(
        f"{_measured(budget)} for {objective.percentile:g} % {within(kind, seconds)}"
        for budget, (kind, seconds) in zip(state.budgets, objective.bounds.asked, strict=True)
    )
    text = (
        f"{verb}: {rate:.2f} requests/s planned for, {100 * engine.missed(max(rate, 1e-6), max(1, wanted)):.1f} % "
        f"of them late with {wanted}; {measured}; "
        f"engine {state.belief.speed:.2f} times its profile, {sum(state.hold.idle):.0f} replica-seconds idle"
    )
    return f"{text}; {bound}" if bound else text


def _measured(budget: Budget) -> str:
    attained = budget.attainment_percent
    return "nothing measured yet" if attained is None else f"{attained:.1f} % in time"


def within(kind: Latency, seconds: float) -> str:
    """A bound in words."""
    after = {Latency.FIRST_TOKEN: "", Latency.INTER_TOKEN: " from token to token", Latency.END_TO_END: " to the end"}
    return f"within {seconds:g} s{after[kind]}"
