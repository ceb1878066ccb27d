"""A small phrase grammar: `{a|b}` picks one, `[a|b]` picks one or nothing, `$name` is a slot of the lexicon."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass

_TOKEN = re.compile(r"\$[a-z]+|[{}\[\]|]|[^${}\[\]|]+|\$")


class GrammarError(ValueError):
    """A phrase that cannot be parsed; the message quotes it."""


@dataclass(frozen=True)
class Phrase:
    """A sequence of parts: literal text, or a tuple of alternatives of which one is taken."""

    parts: tuple[str | tuple[Phrase, ...], ...]

    def sample(self, rng: random.Random) -> str:
        out: list[str] = []
        for part in self.parts:
            out.append(part if isinstance(part, str) else rng.choice(part).sample(rng))
        return "".join(out)

    def log2_size(self) -> float:
        """How many bits of choice the phrase holds; used to draw rich phrases more often than fixed ones."""
        total = 0.0
        for part in self.parts:
            if not isinstance(part, str):
                total += math.log2(sum(2.0 ** min(p.log2_size(), 60.0) for p in part))
        return total


EMPTY = Phrase(())


def parse(text: str, slots: Mapping[str, tuple[Phrase, ...]]) -> Phrase:
    """Parse one phrase. Raises GrammarError on unbalanced braces or an unknown slot."""
    tokens = _TOKEN.findall(text)
    phrase, rest = _sequence(tokens, 0, slots, text)
    if rest != len(tokens):
        raise GrammarError(f"unexpected {tokens[rest]!r} in phrase: {text}")
    return phrase


def _sequence(tokens: list[str], at: int, slots: Mapping[str, tuple[Phrase, ...]], text: str) -> tuple[Phrase, int]:
    parts: list[str | tuple[Phrase, ...]] = []
    while at < len(tokens) and tokens[at] not in ("}", "]", "|"):
        token = tokens[at]
        if token in ("{", "["):
            options, at = _alternatives(tokens, at, slots, text)
            parts.append(options)
        elif token.startswith("$"):
            if token[1:] not in slots:
                raise GrammarError(f"unknown slot {token!r} in phrase: {text}")
            parts.append(slots[token[1:]])
        else:
            parts.append(token)
        at += 1
    return Phrase(tuple(parts)), at


def _alternatives(
    tokens: list[str], at: int, slots: Mapping[str, tuple[Phrase, ...]], text: str
) -> tuple[tuple[Phrase, ...], int]:
    close = "}" if tokens[at] == "{" else "]"
    options: list[Phrase] = []
    while True:
        option, at = _sequence(tokens, at + 1, slots, text)
        options.append(option)
        if at >= len(tokens) or tokens[at] not in ("|", close):
            raise GrammarError(f"missing {close!r} in phrase: {text}")
        if tokens[at] == close:
            break
    if close == "]":
        # Optional parts are left out more often than not: short questions are the common case.
        options += [EMPTY] * max(1, len(options))
    return tuple(options), at
