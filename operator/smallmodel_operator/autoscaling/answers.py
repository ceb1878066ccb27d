"""How many answers are written too slowly, or are complete too late: the same queue, looked at beyond the first token.

A replica's batch goes forward together, so the time between tokens follows from how many it holds: the largest batch
within the bound limits what a replica may carry, however many slots it has. Pure; seconds.
"""

import math
from functools import lru_cache, partial
from typing import Final

from smallmodel_operator.autoscaling.curves import KEPT, Curves
from smallmodel_operator.autoscaling.profile import EngineProfile
from smallmodel_operator.autoscaling.queueing import LEAST, Work, capacity, later, met, replica
from smallmodel_operator.core.scaling import Latency

GRID: Final = (0.01, 0.02, 0.04, 0.07, 0.1, 0.2, 0.3, 0.4, 0.5, 0.62, 0.72, 0.8, 0.87, 0.93, 0.97)
"""Loads at which a curve is computed, as shares of what a replica can carry: the same for every bound, so that a
tighter one never misses less."""
POINTS: Final = 16


def token_seconds(profile: EngineProfile, work: Work) -> tuple[float, ...]:
    """From one token of an answer to the next, by how many requests its replica holds; never falling. [0] is [1]."""
    found: list[float] = []
    for n, lanes in enumerate(replica(profile, work).lane):
        passed = tokens = 0.0
        for reading, share in enumerate(lanes[:n]):
            slowed = 1.0 if reading == 0 else max(1e-3, 1 - profile.prefill_slowdown)
            writing = n - reading
            passed += share * writing
            tokens += share * writing * slowed / profile.iteration_seconds(writing)
        seconds = passed / tokens if tokens > 0 else profile.iteration_seconds(1)
        found.append(max(seconds, found[-1] if found else 0.0))
    return tuple(found)


def at_once(profile: EngineProfile, work: Work, latency: Latency, bound: float) -> int:
    """Requests a replica may hold within the bound, the mean one; all its slots where even one alone misses it: more
    replicas help nobody then."""
    tokens = token_seconds(profile, work)
    if latency is Latency.END_TO_END:
        read = work.mean_prompt / profile.prefill_tokens_per_second
        within = [n for n in range(1, len(tokens)) if read + max(1.0, work.generated) * tokens[n] <= bound]
    else:
        within = [n for n in range(1, len(tokens)) if tokens[n] <= bound]
    return max(within, default=profile.slots)


def carried(profile: EngineProfile, work: Work, latency: Latency, bound: float) -> float:
    """Requests a second that one replica can carry at most within the bound."""
    return max(replica(profile, work).flow[: at_once(profile, work, latency, bound) + 1])


@lru_cache(maxsize=KEPT)
def alone(profile: EngineProfile, work: Work, latency: Latency, bound: float) -> float:
    """The share that misses the bound with a replica for itself."""
    tokens = token_seconds(profile, work)[1]
    if latency is Latency.INTER_TOKEN:
        return float(tokens > bound)
    return sum(share for seconds, share in _own(profile, work, tokens) if seconds > bound)


@lru_cache(maxsize=KEPT)
def nearest(profile: EngineProfile, work: Work, latency: Latency, percentile: float) -> float:
    """The bound that so many percent of answers hold with a replica for each alone."""
    tokens = token_seconds(profile, work)[1]
    if latency is Latency.INTER_TOKEN:
        return tokens
    had = longest = 0.0
    for seconds, share in _own(profile, work, tokens):
        had, longest = had + share, seconds
        if 100 * had >= percentile - 1e-9:
            break
    return longest


def miss(profile: EngineProfile, work: Work, latency: Latency, bound: float, rate: float, replicas: int) -> float:
    """The share of answers beyond the bound, at `rate` a second and replica."""
    tokens = token_seconds(profile, work)
    found = enumerate(met(profile, work, rate, replicas))
    if latency is Latency.INTER_TOKEN:
        return min(1.0, sum(share for n, share in found if tokens[min(n + 1, profile.slots)] > bound))
    server = replica(profile, work)
    most, speed = max(server.flow), profile.prefill_tokens_per_second
    mean = work.mean_prompt / speed
    variance = sum(p * (t / speed - mean) ** 2 for t, p in work.prompts)
    own = [_own(profile, work, seconds) for seconds in tokens]
    missed = 0.0
    for n, share in found:
        inside = min(n, profile.slots)
        queued = n - profile.slots + 1 if n >= profile.slots else 0
        for ahead, part in enumerate(server.lane[inside]):
            if share * part < LEAST:
                continue
            wait, spread = ahead * mean + queued / most, ahead * variance + queued / most**2
            tail = later(wait, spread)
            late = sum(p * tail(bound - s) for s, p in own[min(n + 1, profile.slots)])
            missed += share * part * late
    return min(1.0, missed)


def _own(profile: EngineProfile, work: Work, token: float) -> list[tuple[float, float]]:
    """(seconds, share) of requests that nobody holds up, shortest first, as few points: reading, then writing."""
    written = work.written or ((max(1.0, work.generated), 1.0),)
    pairs = sorted(
        (prompt / profile.prefill_tokens_per_second + max(1.0, length) * token, p * q)
        for prompt, p in work.prompts
        for length, q in written
    )
    points: list[tuple[float, float]] = []
    seconds = share = 0.0
    for took, part in pairs:
        seconds, share = seconds + took * part, share + part
        if share >= 1 / POINTS:
            points.append((seconds / share, share))
            seconds = share = 0.0
    return [*points, (seconds / share, share)] if share > 0 else points


def curve(
    profile: EngineProfile, work: Work, latency: Latency, bound: float, replicas: int
) -> tuple[tuple[float, float], ...]:
    """(requests a second and replica, log of missed share), growing in both, from none to all that can be carried."""
    most, whole = carried(profile, work, latency, bound), capacity(profile, work)
    worst = max(LEAST, alone(profile, work, latency, bound))
    points = [(0.0, math.log(worst))]
    for load in GRID:
        if load * whole >= most:
            break
        worst = max(worst, miss(profile, work, latency, bound, load * whole, replicas))
        points.append((load * whole, math.log(worst)))
    return (*points, (most, 0.0))


@lru_cache(maxsize=KEPT)
def curves(profile: EngineProfile, work: Work, latency: Latency, bound: float) -> Curves:
    """Of answers within `bound` seconds."""
    return Curves(partial(curve, profile, work, latency, bound))


def missed(
    profile: EngineProfile, work: Work, latency: Latency, bound: float, arrivals: float, replicas: float
) -> float:
    """Missed share at `arrivals` a second over all replicas; above 1 beyond what they carry within the bound."""
    return curves(profile, work, latency, bound).missed(arrivals, replicas)
