"""The same requests at the same moments, sent to a real engine and given to the simulator's. Seconds throughout."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, log
from random import Random
from typing import Final

from hack.bench.calibration.undisturbed import Undisturbed
from smallmodel_operator.autoscaling.profile import EngineProfile
from smallmodel_operator.cluster.engines import Timing
from smallmodel_operator.cluster.speed import words
from smallmodel_operator.simulation.pool import Pool
from smallmodel_operator.simulation.trace import Trace

SIGMA: Final = 0.6
"""Of the logarithm of lengths, which are lognormal as those of chats."""
SHORTEST: Final = 4
NUMBERS: Final = 10_000
"""Prompts of a replay begin with numbers from here on, so that calibration has used none of them."""


@dataclass(frozen=True, slots=True)
class Times:
    """Of each request, from when it was due."""

    first: Sequence[float]
    end: Sequence[float]
    tokens: int
    seconds: float
    """From the first request that was due until the last answer was complete."""

    def value(self) -> dict[str, float]:
        return {
            "ttft_p50_ms": round(1000 * percentile(self.first, 50), 1),
            "ttft_p95_ms": round(1000 * percentile(self.first, 95), 1),
            "e2e_p50_ms": round(1000 * percentile(self.end, 50), 1),
            "e2e_p95_ms": round(1000 * percentile(self.end, 95), 1),
            "tokens_per_second": round(self.tokens / self.seconds, 2),
        }


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that so many percent do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, ceil(share / 100 * len(ordered)) - 1)]


def differences(measured: dict[str, float], simulated: dict[str, float]) -> dict[str, float]:
    """By how many percent of what was measured the simulator is above it."""
    return {k: round(100 * (simulated[k] / measured[k] - 1), 1) for k in measured}


def poisson(seed: int, rate: float, seconds: float, prompt: float, answer: float) -> Trace:
    """Requests at `rate` a second, lengths in tokens around their means; one at least."""
    random = Random(f"calibration {seed}")
    at, now = [0.0], 0.0
    while (now := now + random.expovariate(rate)) < seconds:
        at.append(now)
    lengths = [[_tokens(random, mean) for _ in at] for mean in (prompt, answer)]
    return Trace(at, *lengths)


def _tokens(random: Random, mean: float) -> int:
    return max(SHORTEST, round(random.lognormvariate(log(mean) - SIGMA**2 / 2, SIGMA)))


def simulated(trace: Trace, profile: EngineProfile) -> Times:
    """One replica of the simulator, ready from the beginning."""
    pool = Pool(trace, profile, 0.0, profile.start_seconds, 1)
    pool.forward(float("inf"))
    first, end = ([t - a for t, a in zip(times, trace.at, strict=True)] for times in (pool.first_tokens, pool.ends))
    return Times(first, end, sum(trace.generated), max(pool.ends))


async def measured(engine: Undisturbed, trace: Trace, a_word: float) -> tuple[Times, Trace]:
    """A real replica's times, and the requests with their prompts as long as it counted them.

    Args:
        engine: what is asked, timed in engine time.
        trace: when, and how much.
        a_word: tokens that a word of a prompt has.

    Raises:
        NotTaken, NoAnswer: a request was not answered.
    """
    began = engine.clock.now()

    async def one(number: int) -> tuple[float, Timing]:
        await engine.clock.until(began + trace.at[number])
        text = words(NUMBERS + number, max(1, round(trace.prompt[number] / a_word)))
        due = began + trace.at[number]
        timing = await engine.complete(text, trace.generated[number])
        return timing.asked - due, timing

    done = await asyncio.gather(*(one(number) for number in range(len(trace.at))))
    first = [late + timing.first for late, timing in done]
    end = [late + timing.last for late, timing in done]
    counted = Trace(trace.at, [t.prompt_tokens for _, t in done], [t.tokens for _, t in done])
    seconds = max(at + e for at, e in zip(trace.at, end, strict=True))
    return Times(first, end, sum(counted.generated), seconds), counted
