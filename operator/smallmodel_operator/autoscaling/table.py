"""How many arrivals a second each number of replicas should carry, given what a missed request is worth. Pure.

The value of one more replica is the misses it avoids. A pool grows while that is above the price of a replica, in
misses a second, so replicas stand where they buy most; the price follows from how many misses the budget has left.
"""

import math
from bisect import bisect_left
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Final

from smallmodel_operator.autoscaling import answers
from smallmodel_operator.autoscaling.curves import KEPT, Curves
from smallmodel_operator.autoscaling.profile import EngineProfile
from smallmodel_operator.autoscaling.queueing import Work, curves
from smallmodel_operator.core.scaling import Latency

FULL: Final = 0.97
"""Of what replicas can carry at most: beyond it no price makes sense, the backlog would grow."""
STEPS: Final = 16
HALVINGS: Final = 24
"""To a millionth of a load, where prices are told apart by tenths."""
EASY: Final = 0.1
"""Load at which nobody waits for anybody."""
EASIEST_BEYOND: Final = 0.02
"""Beyond the first token a batch of few is faster than a full one: emptier replicas help down to this load."""
LEAST_PART: Final = 0.25
"""Of the allowed misses, to be spent on waiting even where reading the prompts alone takes them all."""


@dataclass(frozen=True)
class Engine:
    """What the model of the queue needs: `objective_seconds` bound what `latency` says.

    What follows from it is reckoned once: each look asks several times, and finding it by its value takes longer.
    """

    profile: EngineProfile
    work: Work
    objective_seconds: float
    latency: Latency = Latency.FIRST_TOKEN

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        return hash((self.profile, self.work, self.objective_seconds, self.latency))

    @cached_property
    def curves(self) -> Curves:
        if self._first:
            return curves(self.profile, self.work, self.objective_seconds)
        return answers.curves(self.profile, self.work, self.latency, self.objective_seconds)

    def missed(self, arrivals: float, replicas: float) -> float:
        return self.curves.missed(arrivals, replicas)

    @cached_property
    def alone(self) -> float:
        """Missed share where nobody waits for anybody."""
        if self._first:
            found = self.curves
            return found.missed(EASY * found.capacity, 1)
        return answers.alone(self.profile, self.work, self.latency, self.objective_seconds)

    @property
    def capacity(self) -> float:
        """Requests a second that one replica carries at most, within the bound."""
        return self.curves.capacity

    @cached_property
    def slots(self) -> int:
        """Requests a replica may hold at a time."""
        if self._first:
            return self.profile.slots
        return answers.at_once(self.profile, self.work, self.latency, self.objective_seconds)

    @property
    def patience(self) -> float:
        """Seconds of waiting after which an answer is late; infinite where waiting makes none late."""
        if self.latency is Latency.INTER_TOKEN:
            return math.inf
        if self._first:
            return self.objective_seconds
        usual = answers.nearest(self.profile, self.work, self.latency, 50)
        return max(self.objective_seconds - usual, LEAST_PART * self.objective_seconds)

    def easiest(self, load: float) -> float:
        """The least load to plan for, where `load` is that of first tokens."""
        return load if self._first else min(load, EASIEST_BEYOND)

    @property
    def _first(self) -> bool:
        return self.latency is Latency.FIRST_TOKEN


@lru_cache(maxsize=KEPT)
def engine_of(profile: EngineProfile, work: Work, objective_seconds: float, latency: Latency) -> Engine:
    """The same one for the same values."""
    return Engine(profile, work, objective_seconds, latency)


@dataclass(frozen=True, slots=True)
class Table:
    """`carries[n - 1]`: arrivals a second up to which n replicas are enough; not falling."""

    carries: tuple[float, ...]

    def replicas(self, arrivals: float) -> int:
        return min(bisect_left(self.carries, arrivals) + 1, len(self.carries))


@lru_cache(maxsize=KEPT)
def table(engine: Engine, price: float, most: int) -> Table:
    """The table at a price in misses a second and replica."""
    missed, capacity = engine.curves.missed, engine.capacity
    carries: list[float] = []
    for n in range(1, most + 1):
        before = carries[-1] if carries else 0.0
        low, high = 0.0, FULL * n * capacity
        for _ in range(STEPS):
            middle = (low + high) / 2
            gain = middle * (missed(middle, n) - missed(middle, n + 1))
            low, high = (middle, high) if gain <= price else (low, middle)
        carries.append(max(before, low))
    return Table(tuple(carries))


def price(engine: Engine, arrivals: float, allowed: float, easiest: float = EASY) -> float:
    """What a replica may cost in misses a second, for `allowed` share of misses at these arrivals.

    Never as little as a load below `easiest` would take: more replicas than that help nobody who waits.
    """
    arrivals, missed, capacity = max(arrivals, 1e-3), engine.curves.missed, engine.capacity
    # What misses with any number of replicas is no reason for more of them.
    target = max(allowed, engine.alone + LEAST_PART * allowed)
    low, high = arrivals / (FULL * capacity), arrivals / (min(engine.easiest(easiest), 0.9) * capacity)
    high = engine.curves.fewest(arrivals, target, low, high, HALVINGS)
    gain = missed(arrivals, high) - missed(arrivals, high + 1)
    return max(arrivals * gain, 1e-9)
