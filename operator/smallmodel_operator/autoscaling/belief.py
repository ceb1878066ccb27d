"""What the controller believes of the engine and of its requests, corrected by what it sees. Pure; seconds."""

import math
from dataclasses import dataclass, replace
from itertools import repeat
from operator import add, mul, sub
from typing import Final

from smallmodel_operator.autoscaling.observation import Counters
from smallmodel_operator.autoscaling.profile import EngineProfile
from smallmodel_operator.autoscaling.prompts import NOTHING, mean, quantiles
from smallmodel_operator.autoscaling.queueing import Work

FORGET_SPEED: Final = 600.0
FORGET_WORK: Final = 3600.0
PRIOR_ANSWERS: Final = 6.0
"""Answers after which what was measured weighs as much as what was believed."""
MOVED: Final = 0.1
"""Requests that are longer or shorter than this, as a logarithm, are others."""
SPEED_STEP: Final = 0.05
SLOWEST, FASTEST = 0.2, 4.0
FIRST_ANSWER: Final = 200.0
"""Tokens of an answer, while none is complete."""
FIRST_WORK: Final = Work(((256.0, 1.0),), FIRST_ANSWER)


@dataclass(frozen=True, slots=True)
class Belief:
    """Sums are forgotten over time; `speed` is how many times as fast as the profile the engine is."""

    decode_seconds: float = 0.0
    decode_tokens: float = 0.0
    prompt_tokens: float = 0.0
    replica_seconds: float = 0.0
    ended: float = 0.0
    speed: float = 1.0
    prompts: tuple[float, ...] = NOTHING
    written: tuple[float, ...] = NOTHING
    generated: float = 0.0
    answers: float = 0.0
    work: Work = FIRST_WORK
    known: float = 0.0
    """Requests that `work` was made of."""


def learn(
    belief: Belief, profile: EngineProfile, before: Counters, now: Counters, ready: int, seconds: float
) -> Belief:
    """With what happened in the last `seconds`."""
    keep, keep_work = math.exp(-seconds / FORGET_SPEED), math.exp(-seconds / FORGET_WORK)
    belief = Belief(
        decode_seconds=belief.decode_seconds * keep + now.decode_seconds - before.decode_seconds,
        decode_tokens=belief.decode_tokens * keep + now.decode_tokens - before.decode_tokens,
        prompt_tokens=belief.prompt_tokens * keep + now.prompt_tokens - before.prompt_tokens,
        replica_seconds=belief.replica_seconds * keep + ready * seconds,
        ended=belief.ended * keep + now.ended - before.ended,
        generated=belief.generated * keep_work + now.generated_tokens - before.generated_tokens,
        answers=belief.answers * keep_work + now.ended - before.ended,
        prompts=_lengths(belief.prompts, before.prompts, now.prompts, keep_work),
        written=_lengths(belief.written, before.written, now.written, keep_work),
        speed=belief.speed,
        work=belief.work,
        known=belief.known,
    )
    speed = _speed(belief, profile)
    return _new_work(belief if speed == belief.speed else replace(belief, speed=speed))


def _lengths(
    old: tuple[float, ...], before: tuple[float, ...], now: tuple[float, ...], keep: float
) -> tuple[float, ...]:
    if now == before:
        return tuple(map(mul, old, repeat(keep)))
    return tuple(map(add, map(mul, old, repeat(keep)), map(sub, now, before)))


def _speed(belief: Belief, profile: EngineProfile) -> float:
    """The seconds a token took, beside what the profile says for a batch of that size."""
    if belief.decode_tokens <= 0 or belief.replica_seconds <= 0 or belief.decode_seconds <= 0:
        return belief.speed
    batch = min(belief.decode_seconds / belief.replica_seconds + 1.0, profile.slots)
    token = belief.decode_seconds / belief.decode_tokens
    reading = belief.prompt_tokens / profile.prefill_tokens_per_second / belief.replica_seconds
    measured = profile.iteration_seconds(max(1.0, batch)) / token + profile.prefill_slowdown * min(reading, 1.0)
    weight = belief.ended / (belief.ended + PRIOR_ANSWERS)
    wanted = math.exp(weight * math.log(min(max(measured, SLOWEST), FASTEST)))
    # On a scale of steps, and not to and fro between two: each new speed costs a new table.
    near = abs(math.log(wanted / belief.speed)) <= 0.8 * SPEED_STEP
    return belief.speed if near else math.exp(SPEED_STEP * round(math.log(wanted) / SPEED_STEP))


def _new_work(belief: Belief) -> Belief:
    asked = sum(belief.prompts)
    if asked < 5:
        return belief
    if belief.answers < 3:
        early = belief.work is not FIRST_WORK
        return belief if early else replace(belief, work=Work(quantiles(belief.prompts), FIRST_ANSWER))
    # Most looks learn nothing new: what requests are is reckoned from their lengths only where it is another.
    generated = belief.generated / belief.answers
    grown = belief.known < 2000 and belief.answers >= 2 * belief.known
    longer, wordier = _apart(mean(belief.prompts), belief.work.mean_prompt), _apart(generated, belief.work.generated)
    if not grown and max(longer, wordier) <= MOVED:
        return belief
    work = Work(quantiles(belief.prompts), round(generated, 1), quantiles(belief.written))
    return replace(belief, work=work, known=belief.answers)


def _apart(one: float, other: float) -> float:
    return abs(math.log(max(1.0, one) / max(1.0, other)))
