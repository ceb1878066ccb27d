"""Measuring a replica: prompts of our own, alone and several at once, for some seconds each."""

import asyncio
from itertools import count
from typing import Final, Protocol

from smallmodel_operator.cluster.engines import Timing
from smallmodel_operator.core.trial import Figures, Trial

FIRST_WORDS: Final = 8
SHORT_TOKENS: Final = 64
"""The prompt of which the time to the first token is measured."""
LONG_TOKENS: Final = 512
"""The prompt of which reading is measured, where the context has room for it."""
SPOKEN_TOKENS: Final = 48
SECONDS: Final = 4.0
"""A slow replica reads and writes less: about so long a step may take."""
EACH_UP_TO: Final = 8
"""Up to so many at once every number is measured, beyond them every doubling."""
_WORDS: Final = ("river", "stone", "cloud", "train", "paper", "green", "table", "north")


class Completes(Protocol):
    """An engine that can be timed."""

    async def complete(self, prompt: str, tokens: int) -> Timing: ...


async def measure(engine: Completes, trial: Trial) -> Figures:
    """How fast a replica reads and writes.

    Raises:
        NotTaken, NoAnswer: the engine does not do what is asked.
    """
    numbers, room = count(1), max(FIRST_WORDS, trial.context // 2)
    await engine.complete(words(next(numbers), FIRST_WORDS), 1)  # touches what every later one finds warm
    seen = await engine.complete(words(next(numbers), FIRST_WORDS), 2)
    a_word = max(1.0, seen.prompt_tokens / FIRST_WORDS)

    def prompt(tokens: float) -> str:
        return words(next(numbers), int(min(tokens, room) / a_word))

    short = min([await engine.complete(prompt(SHORT_TOKENS), 1) for _ in range(2)], key=lambda t: t.first)
    longest = min(LONG_TOKENS, SECONDS * short.prompt_tokens / short.first)
    read = [short, *[await engine.complete(prompt(longest), 1) for _ in range(2)]]
    speak = max(4, min(SPOKEN_TOKENS, trial.context // 4))
    alone = await engine.complete(prompt(FIRST_WORDS), min(8, speak))
    speak = max(4, min(speak, int(SECONDS * _speed([alone]))))
    decode = []
    for at_once in levels(trial.slots):
        done = await asyncio.gather(*(engine.complete(prompt(FIRST_WORDS), speak) for _ in range(at_once)))
        decode.append((at_once, _speed(done)))
    return Figures(prefill=max(t.prompt_tokens / t.first for t in read), decode=tuple(decode), first_token=short.first)


def levels(slots: int) -> list[int]:
    """How many at once are tried, up to all slots."""
    each = list(range(1, min(slots, EACH_UP_TO) + 1))
    doubled = EACH_UP_TO * 2
    while doubled < slots:
        each.append(doubled)
        doubled *= 2
    return each if each[-1] == slots else [*each, slots]


def _speed(done: list[Timing]) -> float:
    """Tokens a second of requests that ran together, first tokens aside: those are reading."""
    began, ended = min(t.asked + t.first for t in done), max(t.asked + t.last for t in done)
    return sum(max(1, t.tokens - 1) for t in done) / max(ended - began, 1e-4)


def words(number: int, wanted: int) -> str:
    """So many words; each text begins otherwise, so that none is found in a cache."""
    picked = (_WORDS[(number * 5 + n * n + n) % len(_WORDS)] for n in range(max(1, wanted - 1)))
    return f"{number} {' '.join(picked)}"
