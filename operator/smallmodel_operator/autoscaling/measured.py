"""The engine's profile as calibration measured it (`status.capacity`), and what no number of replicas can do. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from smallmodel_operator.autoscaling import answers
from smallmodel_operator.autoscaling.belief import Belief
from smallmodel_operator.autoscaling.profile import EngineProfile
from smallmodel_operator.core.scaling import Bounds, Latency

UNMEASURED: Final = EngineProfile(0.04, 0.008, 300.0, 0.6, 1, 30.0)
"""Until a replica is measured: a guess, which the first answers correct."""
SLOWDOWN: Final = 0.6
"""Of decoding while a prompt is read; calibration does not measure it."""
LEAST_START: Final = 1.0


def profile(capacity: Mapping[str, Any], slots: int, start_seconds: float = 0.0) -> EngineProfile:
    """What one replica can do.

    Args:
        capacity: `status.capacity`; empty while nothing was measured.
        slots: requests a replica answers at a time.
        start_seconds: a usual start, 0 while none was seen.
    """
    start = max(LEAST_START, start_seconds or float(capacity.get("coldStartSeconds") or UNMEASURED.start_seconds))
    reads = float(capacity.get("prefillTokensPerSecond") or 0)
    points = [(int(p["concurrency"]), float(p["tokensPerSecond"])) for p in capacity.get("decodeTokensPerSecond") or ()]
    points = [(at_once, speed) for at_once, speed in points if speed > 0]
    base, each = UNMEASURED.iteration_base_seconds, UNMEASURED.iteration_per_sequence_seconds
    if points:
        base, each = iteration(points)
    return EngineProfile(base, each, reads or UNMEASURED.prefill_tokens_per_second, SLOWDOWN, max(1, slots), start)


def iteration(points: Iterable[tuple[int, float]]) -> tuple[float, float]:
    """(base, each) seconds of one token for every sequence, by least squares through (at once, tokens a second)."""
    times = [(at_once, at_once / speed) for at_once, speed in points]
    mean_n = sum(n for n, _ in times) / len(times)
    mean_t = sum(t for _, t in times) / len(times)
    spread = sum((n - mean_n) ** 2 for n, _ in times)
    each = sum((n - mean_n) * (t - mean_t) for n, t in times) / spread if spread else 0.0
    each = min(max(each, 0.0), mean_t / mean_n)
    return max(mean_t - each * mean_n, 1e-6), each


def floor(engine: EngineProfile, belief: Belief, percentile: float, first_token: float) -> float:
    """Seconds within which that percentile of first tokens can come at all, each with a replica for itself.

    Args:
        engine: what a replica can do.
        belief: what was learnt of its speed and of the prompts.
        percentile: 0 to 100.
        first_token: seconds measured for a short prompt; 0 while none was.
    """
    if not belief.known:
        return first_token
    real, share, longest = engine.faster(belief.speed), 0.0, 0.0
    for tokens, part in sorted(belief.work.prompts):
        share, longest = share + part, tokens
        if 100 * share >= percentile - 1e-9:
            break
    return longest / real.prefill_tokens_per_second + real.iteration_seconds(1)


def alone(capacity: Mapping[str, Any]) -> Bounds:
    """Seconds that a replica took for one short request, as measured; 0 where it was not. An answer takes at least as
    long as its first token."""
    first = float(capacity.get("timeToFirstTokenMilliseconds") or 0) / 1000
    speeds = {int(p["concurrency"]): float(p["tokensPerSecond"]) for p in capacity.get("decodeTokensPerSecond") or ()}
    one = speeds.get(1, 0.0)
    return Bounds(first, 1 / one if one > 0 else 0.0, first)


def nearest(engine: EngineProfile, belief: Belief, percentile: float, measured: Bounds) -> Bounds:
    """The tightest bounds that the percentile can hold at all, each request with a replica for itself; 0: not known.

    `measured`: what one took when nobody else asked; it counts until something is learnt of the requests.
    """
    if not belief.known:
        return measured
    real = engine.faster(belief.speed)
    inter, end = (
        answers.nearest(real, belief.work, kind, percentile) for kind in (Latency.INTER_TOKEN, Latency.END_TO_END)
    )
    return Bounds(floor(engine, belief, percentile, measured.first_token), inter, end)
