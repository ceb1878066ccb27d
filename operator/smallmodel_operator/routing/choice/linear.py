"""Logistic regression on sets of places, by dual coordinate ascent: exact, deterministic, no step size, no library.

A few thousand prompts take seconds. All values of an example are equal (it counts whether an n-gram occurs, scaled to
length 1), so that a decision is a sum of looked-up weights: that is what makes it take microseconds.
"""

import math
import random
from array import array
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Final

PASSES: Final = 30
ENOUGH: Final = 2e-3
"""Mean change of the multipliers in one pass below which it is done."""
SEED: Final = 8

Places = Sequence[tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Plane:
    """What was learned: the sign and size of `bias + sum(weights) / sqrt(n)` over the n places of a prompt."""

    weights: "array[float]"
    bias: float

    def margin(self, places: Collection[int]) -> float:
        """For the places of one prompt, each once; the bias alone where there are none."""
        if not places:
            return self.bias
        return self.bias + sum(map(self.weights.__getitem__, places)) / math.sqrt(len(places))


def sigmoid(margin: float) -> float:
    """1 / (1 + exp(-margin)) that neither overflows nor warns."""
    if margin >= 0:
        return 1.0 / (1.0 + math.exp(-margin))
    part = math.exp(margin)
    return part / (1.0 + part)


def fit(
    examples: Places,
    labels: Sequence[bool],
    size: int,
    strength: float,
    told: Callable[[], None] = lambda: None,
) -> Plane:
    """Logistic regression with L2 penalty; `strength` is its inverse, as in other tools' `C`.

    Args:
        examples: the places of each prompt, all below `size`.
        labels: whether each is one of those that are looked for.
        told: is called after each pass.
    """
    weights = [0.0] * size
    positives = sum(labels)
    # The share of positives is where it starts, so that the penalty pulls towards it and not towards one half.
    bias = math.log((positives + 0.5) / (len(labels) - positives + 0.5))
    multipliers = [0.0] * len(labels)
    order = list(range(len(labels)))
    shuffled = random.Random(SEED)  # noqa: S311 - an order of examples is no secret
    scales = [1.0 / math.sqrt(len(places)) if places else 0.0 for places in examples]
    signs = [1.0 if label else -1.0 for label in labels]
    for _ in range(PASSES):
        shuffled.shuffle(order)
        moved = 0.0
        for i in order:
            places, scale, sign = examples[i], scales[i], signs[i]
            said = bias + (scale * sum(_of(places, weights)) if places else 0.0)
            step = (sigmoid(-sign * said) - multipliers[i]) / (0.25 * strength * 2.0 + 1.0)
            multipliers[i] += step
            moved += abs(step)
            change = strength * sign * step
            bias += change
            change *= scale
            for place in places:
                weights[place] += change
        told()
        if moved < ENOUGH * len(labels):
            break
    return Plane(array("f", weights), bias)


def _of(places: tuple[int, ...], weights: list[float]) -> tuple[float, ...]:
    found: tuple[float, ...] | float = itemgetter(*places)(weights)
    return found if isinstance(found, tuple) else (found,)
