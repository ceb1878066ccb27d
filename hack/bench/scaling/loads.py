"""Generated loads: a rate over time, Poisson arrivals on it, lengths as of chats. Seconds and requests a second."""

import math
from collections.abc import Callable
from random import Random
from typing import Final

from smallmodel_operator.simulation.trace import Trace

KINDS: Final = ("diurnal", "bursty", "sparse", "step")


def generate(
    kind: str, seed: int, hours: float = 3.0, busy: float = 5.0, prompt: float = 150, answer: float = 50
) -> Trace:
    """A load of `kind` whose rate is about `busy` requests a second when much happens."""
    random = Random(f"{kind} {seed}")
    seconds = 3600 * hours
    rate = _rate(kind, random, seconds, busy)
    at, prompts, answers = [], [], []
    now, most = 0.0, 8 * busy
    while (now := now + random.expovariate(most)) < seconds:
        if random.random() < rate(now) / most:
            at.append(now)
            prompts.append(_tokens(random, prompt, 0.8))
            answers.append(_tokens(random, answer, 0.7))
    first = at[0]
    return Trace([a - first for a in at], prompts, answers)


def _tokens(random: Random, mean: float, sigma: float) -> int:
    return max(1, round(random.lognormvariate(math.log(mean) - sigma**2 / 2, sigma)))


def _rate(kind: str, random: Random, seconds: float, busy: float) -> Callable[[float], float]:
    if kind == "diurnal":
        days, phase = random.choice((1, 2)), random.random()
        low = random.uniform(0.08, 0.2)
        return lambda t: (
            busy * (low + (1 - low) * (0.5 - 0.5 * math.cos(2 * math.pi * (days * t / seconds + phase))) ** 1.5)
        )
    if kind == "sparse":
        return lambda t: busy / 100
    spans: list[tuple[float, float]] = []
    end = 0.0
    while end < seconds:
        if kind == "step":
            end += random.uniform(0.1, 0.3) * seconds
            spans.append((end, busy * random.choice((0.15, 0.3, 0.6, 1.0))))
        else:
            end += random.expovariate(1 / 400)
            spans.append((end, busy * 0.3))
            end += random.expovariate(1 / 60)
            spans.append((end, busy * random.uniform(0.6, 1.2)))

    def rate(t: float) -> float:
        return next(r for e, r in spans if t <= e)

    return rate
