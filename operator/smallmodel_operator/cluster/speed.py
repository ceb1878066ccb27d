"""Measuring a replica: prompts of our own, alone and several at once, for some seconds each.

A stream of a fast replica may reach us in one piece, its first and last token at the same moment: how long it wrote is
then the time of the whole run without that of a run of one token, and runs are repeated until they are long together.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
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
MOST_SPOKEN_TOKENS: Final = 512
SECONDS: Final = 4.0
"""A slow replica reads and writes less: about so long a step may take."""
ENOUGH_SECONDS: Final = 0.4
"""So long a replica writes before its speed is believed; less is how fast the operator itself got round to reading."""
RUNS: Final = 64
"""So many runs may be needed for that, where the context lets each write little."""
LONG_SECONDS: Final = 1.0
SEVERAL: Final = 3
"""Of runs shorter than that so many at least, and the fastest counts: a stall of the node is no speed of a replica."""
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
    plan = await _Plan.make(engine, prompt, trial.context)
    decode: list[tuple[int, float]] = []
    for at_once in levels(trial.slots):
        if (written := await _written(engine, prompt, at_once, plan)) is None:
            decode = []  # of some of the points nobody can say which is best
            break
        decode.append((at_once, written))
    return Figures(prefill=max(t.prompt_tokens / t.first for t in read), decode=tuple(decode), first_token=short.first)


@dataclass(frozen=True, slots=True)
class Run:
    """Requests that were asked together. Seconds from the first that was asked; `tokens` of all of them."""

    at_once: int
    tokens: int
    first: float
    """Until the first token of any of them."""
    whole: float
    """Until the last one ended."""

    @classmethod
    def of(cls, done: Sequence[Timing]) -> "Run":
        asked = min(t.asked for t in done)
        first, last = min(t.asked + t.first for t in done), max(t.asked + t.last for t in done)
        return cls(len(done), sum(t.tokens for t in done), max(first - asked, 0.0), max(last - asked, 1e-6))


def written_per_second(short: Sequence[Run], long: Sequence[Run]) -> float | None:
    """Tokens a second of the fastest long run, its first tokens aside: those are reading. None: too short to say.

    A run writes all its time but that until a first token. That is the least that was seen, in runs of one token too,
    for in a stream that arrives in one piece the first token seems to come last; and at most half of the run.
    """
    reading = min(run.first for run in (*short, *long))
    written = [(run.tokens - run.at_once, run.whole - min(reading, run.whole / 2)) for run in long]
    if min(seconds for _, seconds in written) * len(long) < ENOUGH_SECONDS:
        return None
    return max(tokens / seconds for tokens, seconds in written) or None


async def _written(engine: Completes, prompt: Callable[[float], str], at_once: int, plan: "_Plan") -> float | None:
    """What so many requests at once write a second; None where all runs together are too short to say."""
    short, long = [], []
    for number in range(1, RUNS + 1):
        short.append(await _together(engine, prompt, at_once, 1))
        long.append(await _together(engine, prompt, at_once, plan.tokens))
        if number >= plan.runs and (speed := written_per_second(short, long)) is not None:
            return speed
    return None


@dataclass(frozen=True, slots=True)
class _Plan:
    """Tokens each request writes, and how many runs there are at least."""

    tokens: int
    runs: int

    @classmethod
    async def make(cls, engine: Completes, prompt: Callable[[float], str], context: int) -> "_Plan":
        """By how fast one writes alone, roughly."""
        most = max(4, min(MOST_SPOKEN_TOKENS, context // 2))
        tried = [await _together(engine, prompt, 1, min(8, most)) for _ in range(2)]
        rate = max(run.tokens / run.whole for run in tried)
        tokens = max(4, int(min(most, SECONDS * rate, max(SPOKEN_TOKENS, ENOUGH_SECONDS / 2 * rate))))
        return cls(tokens, 1 if tokens / rate >= LONG_SECONDS else SEVERAL)


async def _together(engine: Completes, prompt: Callable[[float], str], at_once: int, tokens: int) -> Run:
    return Run.of(await asyncio.gather(*(engine.complete(prompt(FIRST_WORDS), tokens) for _ in range(at_once))))


def levels(slots: int) -> list[int]:
    """How many at once are tried, up to all slots."""
    each = list(range(1, min(slots, EACH_UP_TO) + 1))
    doubled = EACH_UP_TO * 2
    while doubled < slots:
        each.append(doubled)
        doubled *= 2
    return each if each[-1] == slots else [*each, slots]


def words(number: int, wanted: int) -> str:
    """So many words; each text begins otherwise, so that none is found in a cache."""
    picked = (_WORDS[(number * 5 + n * n + n) % len(_WORDS)] for n in range(max(1, wanted - 1)))
    return f"{number} {' '.join(picked)}"
