"""How good a choice is: the share of the gap between two models it closes, and at which share of escalations.

PGR (performance gap recovered) is 0 for the weak model alone and 1 for the strong one; APGR is its mean over all shares
from none to all. An oracle passes 1: the strong model errs where the weak one does not.
"""

import math
import random
from collections.abc import Sequence
from itertools import groupby
from typing import Final

from smallmodel_operator.routing.choice.linear import SEED
from smallmodel_operator.routing.choice.training import Answered

BINS: Final = 10
SHUFFLES: Final = 100


class NoGap(ValueError):  # noqa: N818 - says what is the matter
    """The strong model is no better than the weak one here: there is nothing to recover."""


def curve(scores: Sequence[float], answered: Sequence[Answered]) -> list[float]:
    """PGR after 0, 1, ... n escalations, highest score first. Equal scores share their gain: no luck in their order.

    Raises:
        NoGap: there is none.
    """
    whole = sum(a.strong - a.weak for a in answered)
    if whole <= 0:
        raise NoGap("the strong model is right no more often than the weak one: check which is which.")
    ranked = sorted(zip(scores, answered, strict=True), key=lambda item: -item[0])
    found = [0.0]
    for _, equal in groupby(ranked, key=lambda item: item[0]):
        gains = [a.strong - a.weak for _, a in equal]
        before, mean = found[-1], sum(gains) / len(gains) / whole
        found.extend(before + mean * number for number in range(1, len(gains) + 1))
    return found


def at(points: Sequence[float], share: float) -> float:
    """PGR where that share of all is escalated; never more than it."""
    return points[math.floor(share * (len(points) - 1) + 1e-9)]


def apgr(points: Sequence[float]) -> float:
    """Mean PGR over all shares (trapezoids)."""
    return (math.fsum(points) - (points[0] + points[-1]) / 2) / (len(points) - 1)


def random_at(answered: Sequence[Answered], share: float) -> float:
    """PGR of escalating that share by lot, the mean of many draws."""
    lots = random.Random(SEED)  # noqa: S311 - a yardstick is no secret
    draws = (at(curve([lots.random() for _ in answered], answered), share) for _ in range(SHUFFLES))
    return math.fsum(draws) / SHUFFLES


def oracle(answered: Sequence[Answered]) -> list[float]:
    """Of who knows all answers beforehand."""
    return curve([float(a.strong - a.weak) for a in answered], answered)


def calibration_error(probabilities: Sequence[float], labels: Sequence[bool]) -> float:
    """Mean distance between what was said and what came, over ten groups of equal number (0 is best)."""
    ranked = sorted(zip(probabilities, labels, strict=True), key=lambda item: item[0])
    total = 0.0
    for part in range(BINS):
        group = ranked[part * len(ranked) // BINS : (part + 1) * len(ranked) // BINS]
        if group:
            total += abs(math.fsum(p for p, _ in group) - sum(label for _, label in group))
    return total / len(ranked)
