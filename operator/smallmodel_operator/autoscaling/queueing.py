"""How many requests miss a time to first token, by replicas and arrivals: a queueing model. Pure; seconds.

One replica is a closed network of two stations, the lane that reads prompts and the batch that decodes; their flow
makes it a server whose speed depends on how many it holds. The gateway draws two replicas and takes the one with
fewer requests: the mean-field of that rule gives what an arrival finds. Misses are counted over the lengths of
prompts, not on their mean.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from typing import Final

from smallmodel_operator.autoscaling.curves import KEPT, Curves
from smallmodel_operator.autoscaling.profile import EngineProfile

ROUNDS: Final = 14
ROOT: Final = math.sqrt(2)
BEYOND: Final = 24
"""States looked at with every slot taken."""
LEAST: Final = 1e-5
GRID: Final = (0.1, 0.3, 0.5, 0.62, 0.72, 0.8, 0.87, 0.93, 0.97)
"""Loads at which a curve is computed, as shares of what a replica can carry."""
TOGETHER: Final = 1 / 3
"""Replicas fill up together when more comes for a while, so the second draw helps less than the mean field has it:
1 / replicas of draws would gain nothing there. Fitted to the simulator with 1 to 8 replicas, two profiles."""


@dataclass(frozen=True)
class Work:
    """What requests are: prompts as (tokens, share of requests), tokens generated in the mean, and `written`, their
    lengths as prompts have them; empty: all are as long as the mean."""

    prompts: tuple[tuple[float, float], ...]
    generated: float
    written: tuple[tuple[float, float], ...] = ()

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        """Tables are found by it at each look: of two dozen lengths it takes long."""
        return hash((self.prompts, self.generated, self.written))

    @cached_property
    def mean_prompt(self) -> float:
        return sum(t * p for t, p in self.prompts)


@dataclass(frozen=True, slots=True)
class Replica:
    """A replica as a server.

    `flow[n]`: requests a second with n in it; `lane[n][k]`: share of time with k of them in the lane.
    """

    flow: tuple[float, ...]
    lane: tuple[tuple[float, ...], ...]


@lru_cache(maxsize=256)
def replica(profile: EngineProfile, work: Work) -> Replica:
    prompt = max(work.mean_prompt / profile.prefill_tokens_per_second, 1e-4)
    generated = max(1.0, work.generated)
    flow: list[float] = [0.0]
    lanes: list[tuple[float, ...]] = [(1.0,)]
    for n in range(1, profile.slots + 1):
        weights = [1.0]
        for reading in range(n):
            slowed = 1.0 if reading == 0 else max(1e-3, 1 - profile.prefill_slowdown)
            decoded = (n - reading) / (generated * profile.iteration_seconds(n - reading)) * slowed
            weights.append(weights[-1] * decoded * prompt)
        total = sum(weights)
        lanes.append(tuple(w / total for w in weights))
        flow.append((1 - lanes[-1][0]) / prompt)
    return Replica(tuple(flow), tuple(lanes))


def capacity(profile: EngineProfile, work: Work) -> float:
    """Requests a second that one replica can carry at most."""
    return max(replica(profile, work).flow)


def met(profile: EngineProfile, work: Work, rate: float, replicas: int) -> list[float]:
    """Shares of arrivals by the number of requests they find at their replica, at `rate` a second and replica."""
    flow = replica(profile, work).flow
    states = profile.slots + BEYOND
    served = (*flow[1:], *(flow[-1],) * BEYOND)
    alone = replicas**-TOGETHER
    both = 1 - alone
    above = [0.5**n for n in range(states + 2)]
    weights: list[float] = []
    for _ in range(ROUNDS):
        weights = [weight := 1.0]
        for n in range(states):
            weight *= rate * (alone + both * (above[n] + above[n + 1])) / served[n]
            weights.append(weight)
        if not both:
            break  # a replica alone draws no other: what was assumed of them does not count
        total, tail, change = sum(weights), 0.0, 0.0
        for n in range(states, -1, -1):
            tail += weights[n] / total
            moved = tail - above[n]
            change = max(change, abs(moved))
            above[n] += 0.6 * moved
        if change < 1e-3:
            break
    total = sum(weights)
    found = [w / total * (alone + both * (above[n] + above[n + 1])) for n, w in enumerate(weights)]
    total = sum(found)
    return [f / total for f in found]


def miss(profile: EngineProfile, work: Work, objective: float, rate: float, replicas: int) -> float:
    """The share of requests whose first token comes after `objective` seconds, at `rate` a second and replica."""
    server = replica(profile, work)
    most = max(server.flow)
    if rate >= 0.995 * most:
        return 1.0
    speed = profile.prefill_tokens_per_second
    mean = work.mean_prompt / speed
    variance = sum(p * (t / speed - mean) ** 2 for t, p in work.prompts)
    waits: dict[tuple[int, int], tuple[float, float]] = {}
    for n, share in enumerate(met(profile, work, rate, replicas)):
        if share < LEAST:
            continue
        inside = min(n, profile.slots)
        queued = n - profile.slots + 1 if n >= profile.slots else 0
        for ahead, part in enumerate(server.lane[inside]):
            if share * part < LEAST:
                continue
            first = profile.iteration_seconds(max(1, inside - ahead))
            of_all, firsts = waits.get((ahead, queued), (0.0, 0.0))
            waits[ahead, queued] = (of_all + share * part, firsts + share * part * first)
    own = [(t / speed, p) for t, p in work.prompts]
    missed = 0.0
    for (ahead, queued), (share, firsts) in waits.items():
        wait, spread = ahead * mean + queued / most, ahead * variance + queued / most**2
        left = objective - firsts / share
        tail = later(wait, spread)
        missed += share * sum(p * tail(left - s) for s, p in own)
    return min(1.0, missed)


def later(mean: float, variance: float) -> Callable[[float], float]:
    """P(gamma variable > x) by x, by Wilson and Hilferty's cube root."""
    if mean <= 0:
        return lambda than: float(than <= 0)
    shape = mean * mean / max(variance, 1e-9 * mean * mean)
    middle, scale = 1 - 1 / (9 * shape), 3 * math.sqrt(shape)

    def tail(than: float) -> float:
        if than <= 0:
            return 1.0
        z = ((than / mean) ** (1 / 3) - middle) * scale
        return 0.5 * math.erfc(z / ROOT) if z < 8 else 0.0

    return tail


def curve(profile: EngineProfile, work: Work, objective: float, replicas: int) -> tuple[tuple[float, float], ...]:
    """(requests a second and replica, log of missed share), growing in both."""
    most = capacity(profile, work)
    points: list[tuple[float, float]] = []
    worst = LEAST
    for share in GRID:
        worst = max(worst, miss(profile, work, objective, share * most, replicas))
        points.append((share * most, math.log(worst)))
    return (*points, (most, 0.0))


@lru_cache(maxsize=KEPT)
def curves(profile: EngineProfile, work: Work, objective: float) -> Curves:
    """Of first tokens that come within `objective` seconds."""
    return Curves(partial(curve, profile, work, objective))
