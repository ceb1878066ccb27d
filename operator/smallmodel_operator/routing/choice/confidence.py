"""How sure a model was of its own answer, by the probabilities of its tokens, and how often it was right then. Pure.

Probabilities are 0 to 1. What a model calls probable is not how often it is right: that is learned from answers whose
right or wrong is known.
"""

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from smallmodel_operator.routing.choice.examples import BadRow

LOWEST: Final = -1000.0
"""Log-probability below which engines mean 0; some say it by the least number there is."""
GROUP: Final = 10
"""Answers of like confidence that are counted together: fewer would call a matter of luck certain."""
FEWEST: Final = 40
"""Answers, half of them to learn from, below which nothing is said."""


class TooFew(ValueError):  # noqa: N818 - says what is the matter
    """The answers say nothing of how confidence and right go together."""


@dataclass(frozen=True, slots=True)
class Step:
    """From this confidence on, this share of the answers was right; `answers`: how many it is known from."""

    least: float
    right: float
    answers: int


def logprobs_of(response: object) -> list[float]:
    """The natural log-probability of each token of a chat completion's first choice.

    Raises:
        BadRow: it has none; with what must be asked for.
    """
    match response:
        case {"choices": [{"logprobs": {"content": [_, *_] as tokens}}, *_]}:
            return [logprob_of(token) for token in tokens]
        case _:
            raise BadRow(
                "`response` has no token in choices[0].logprobs.content: ask the engine with `logprobs: true`, "
                "not streamed"
            )


def logprob_of(token: object) -> float:
    """That of one token as engines tell of it.

    Raises:
        BadRow: it is no number, or more than 0.
    """
    return _number(token.get("logprob") if isinstance(token, dict) else None)


def measures(logprobs: Sequence[float]) -> dict[str, float]:
    """An answer's confidence, measured three ways: `mean`, the geometric mean of its tokens' probabilities; `least`,
    the probability of the least probable one; `whole`, the product of all, which is less the longer an answer is."""
    total = math.fsum(logprobs)
    found = {"mean": total / len(logprobs), "least": min(logprobs), "whole": total}
    return {name: math.exp(value) for name, value in found.items()}


def confidences(row: Mapping[str, Any]) -> dict[str, float]:
    """Those of a row: `confidence`, where it has that, else the measures of `response`.

    Raises:
        BadRow: with what is wrong.
    """
    if "confidence" not in row:
        return measures(logprobs_of(row.get("response")))
    said = row["confidence"]
    if isinstance(said, bool) or not isinstance(said, int | float) or not 0 <= said <= 1:
        raise BadRow("`confidence` must be a number of 0 to 1")
    return {"confidence": float(said)}


def learn(confident: Sequence[float], right: Sequence[bool]) -> tuple[Step, ...]:
    """Steps that never fall, from the least confidence upwards (isotonic regression over groups of `GROUP`)."""
    blocks: list[tuple[float, int, int]] = []  # least confidence, right ones, all
    for least, good, number in _groups(sorted(zip(confident, right, strict=True))):
        blocks.append((least, good, number))
        while len(blocks) > 1 and blocks[-2][1] * blocks[-1][2] >= blocks[-1][1] * blocks[-2][2]:
            _, good, number = blocks.pop()
            before = blocks.pop()
            blocks.append((before[0], before[1] + good, before[2] + number))
    return tuple(Step(least, good / number, number) for least, good, number in blocks)


def probability(steps: Sequence[Step], confidence: float) -> float:
    """How likely an answer of that confidence is right; below all steps, as at the first."""
    return steps[max(0, bisect_right(steps, confidence, key=lambda step: step.least) - 1)].right


def ranking(confident: Sequence[float], right: Sequence[bool]) -> float:
    """How often a right answer had more confidence than a wrong one, ties by half: 0.5 is by lot, 1 is always (AUROC).

    Raises:
        TooFew: all are right, or all wrong.
    """
    good = sum(right)
    bad = len(right) - good
    if not good or not bad:
        raise TooFew(f"of {len(right)} answers {good} are right: both right and wrong ones are needed.")
    below = won = 0.0
    for _, equal in _ties(sorted(zip(confident, right, strict=True))):
        wins = sum(equal)
        won += wins * below + wins * (len(equal) - wins) / 2
        below += len(equal) - wins
    return won / (good * bad)


def limit(confident: Sequence[float], share: float) -> float:
    """The confidence that at most that share of them is below."""
    ranked = sorted(confident)
    return ranked[min(len(ranked) - 1, math.floor(share * len(ranked) + 1e-9))]


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not value <= 1e-6:
        raise BadRow("a `logprob` of its tokens is no number of at most 0")
    return float(min(0.0, max(LOWEST, value)))


def _ties(ranked: Sequence[tuple[float, bool]]) -> list[tuple[float, list[bool]]]:
    found: list[tuple[float, list[bool]]] = []
    for value, right in ranked:
        if not found or found[-1][0] != value:
            found.append((value, []))
        found[-1][1].append(right)
    return found


def _groups(ranked: Sequence[tuple[float, bool]]) -> list[tuple[float, int, int]]:
    """Least confidence, right ones and all of each group; answers of equal confidence are never parted, and what is
    left over at the end joins the last."""
    found: list[tuple[float, int, int]] = []
    for value, equal in _ties(ranked):
        if found and found[-1][2] < GROUP:
            least, good, number = found[-1]
            found[-1] = (least, good + sum(equal), number + len(equal))
        else:
            found.append((value, sum(equal), len(equal)))
    if len(found) > 1 and found[-1][2] < GROUP:
        _, good, number = found.pop()
        least, before, more = found[-1]
        found[-1] = (least, before + good, more + number)
    return found
