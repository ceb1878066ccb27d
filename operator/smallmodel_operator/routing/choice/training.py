"""Learning a classifier from examples. Deterministic: the same examples give the same file."""

import math
import random
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from smallmodel_operator.routing.choice import ngrams
from smallmodel_operator.routing.choice.classifier import Escalation, TaskClass
from smallmodel_operator.routing.choice.linear import SEED, Places, Plane, fit, sigmoid

STRENGTH: Final = 1.0
"""For escalation: whether a model errs is noise for the most part, so little is believed."""
TASK_STRENGTH: Final = 10.0
"""For classes of tasks: words tell them apart plainly."""
UNSURE: Final = 0.02
"""Share of held-out prompts whose class may be taken for none."""
FOLDS: Final = 4
FEWEST: Final = 20
"""Examples below which nothing is learned."""
Told = Callable[[str], None]


class TooLittle(ValueError):  # noqa: N818 - says what is the matter
    """The examples do not tell anything apart."""


@dataclass(frozen=True, slots=True)
class Answered:
    """A prompt, and whether each model answered it rightly."""

    prompt: str
    strong: bool
    weak: bool

    @property
    def helps(self) -> bool:
        return self.strong and not self.weak

    @property
    def harms(self) -> bool:
        return self.weak and not self.strong


def learn_escalation(examples: Sequence[Answered], told: Told = lambda _: None) -> Escalation:
    """Learn when the larger model helps.

    Raises:
        TooLittle: too few examples, or the larger model never helps in them.
    """
    helpful = sum(e.helps for e in examples)
    if len(examples) < FEWEST or helpful < FOLDS:
        raise TooLittle(
            f"{len(examples)} examples, the strong model helps in {helpful} of them: at least {FEWEST} and {FOLDS} are "
            "needed to learn when to escalate. Give more examples, or check which model is called strong."
        )
    prompts = [tuple(sorted(ngrams.places(e.prompt))) for e in examples]
    margins = [0.0] * len(examples)
    for number, (rest, held) in enumerate(_folds(len(examples)), start=1):
        part = _plane([prompts[i] for i in rest], [examples[i] for i in rest])
        for i in held:
            margins[i] = part.margin(prompts[i])
        told(f"calibrating, part {number} of {FOLDS}")
    whole = _plane(prompts, examples)
    told("learned from all")
    return Escalation(_bent(whole, *platt(margins, [e.helps for e in examples])))


def _plane(prompts: Places, examples: Sequence[Answered]) -> Plane:
    """Where the larger model helps, less where it harms, each by how steeply its chance moves at its usual value: one
    plane that ranks like the difference of both chances, and costs a decision half as much."""
    helps = fit(prompts, [e.helps for e in examples], ngrams.SIZE, STRENGTH)
    if not any(e.harms for e in examples):
        return helps
    harms = fit(prompts, [e.harms for e in examples], ngrams.SIZE, STRENGTH)
    part = _slope([e.harms for e in examples]) / _slope([e.helps for e in examples])
    weights = array("f", (h - part * g for h, g in zip(helps.weights, harms.weights, strict=True)))
    return Plane(weights, helps.bias - part * harms.bias)


def _slope(labels: Sequence[bool]) -> float:
    share = (sum(labels) + 0.5) / (len(labels) + 1.0)
    return share * (1.0 - share)


def _bent(plane: Plane, steepness: float, offset: float) -> Plane:
    """The plane whose margin is calibrated as it is."""
    return Plane(array("f", (steepness * w for w in plane.weights)), steepness * plane.bias + offset)


def _folds(number: int) -> list[tuple[list[int], list[int]]]:
    """Each example is held out once, so that what calibrates has not been learned from."""
    order = list(range(number))
    random.Random(SEED).shuffle(order)  # noqa: S311 - an order of examples is no secret
    return [([i for n, i in enumerate(order) if n % FOLDS != fold], order[fold::FOLDS]) for fold in range(FOLDS)]


def learn_tasks(examples: Sequence[tuple[str, str]], told: Told = lambda _: None) -> TaskClass:
    """Learn classes of tasks from (prompt, class).

    Raises:
        TooLittle: fewer than two classes, or too few examples.
    """
    classes = sorted({name for _, name in examples})
    if len(classes) < 2 or len(examples) < FEWEST:
        raise TooLittle(
            f"{len(examples)} examples of {len(classes)} class(es): at least {FEWEST} of two classes are needed."
        )
    prompts = [tuple(sorted(ngrams.places(prompt))) for prompt, _ in examples]
    names = [name for _, name in examples]
    surest = []
    for number, (rest, held) in enumerate(_folds(len(examples)), start=1):
        part = _task_planes(classes, [prompts[i] for i in rest], [names[i] for i in rest])
        surest += [max(plane.margin(prompts[i]) for plane in part.values()) for i in held]
        told(f"how sure it is, part {number} of {FOLDS}")
    whole = _task_planes(classes, prompts, names)
    told("learned from all")
    # Halfway between knowing nothing of a prompt and the least sure of those that were held out.
    nothing = max(plane.bias for plane in whole.values())
    unsure = sorted(surest)[int(len(surest) * UNSURE)]
    return TaskClass(whole, sigmoid((nothing + max(unsure, nothing)) / 2))


def _task_planes(classes: Sequence[str], prompts: Places, names: Sequence[str]) -> dict[str, Plane]:
    return {name: fit(prompts, [own == name for own in names], ngrams.SIZE, TASK_STRENGTH) for name in classes}


def platt(scores: Sequence[float], labels: Sequence[bool]) -> tuple[float, float]:
    """Steepness and offset of the logistic curve that turns scores into probabilities (Newton's method).

    Steepness is never below 0: what ranks higher must not become less probable.
    """
    positives = sum(labels)
    steep, offset = 0.0, math.log((positives + 1.0) / (len(labels) - positives + 1.0))
    for _ in range(50):
        g0 = g1 = h00 = h01 = h11 = 1e-9
        for score, label in zip(scores, labels, strict=True):
            p = sigmoid(steep * score + offset)
            d, w = p - label, p * (1.0 - p)
            g0, g1 = g0 + d * score, g1 + d
            h00, h01, h11 = h00 + w * score * score, h01 + w * score, h11 + w
        determinant = h00 * h11 - h01 * h01
        if determinant <= 1e-12:
            break
        by0, by1 = (h11 * g0 - h01 * g1) / determinant, (h00 * g1 - h01 * g0) / determinant
        steep, offset = steep - by0, offset - by1
        if abs(by0) + abs(by1) < 1e-9:
            break
    if steep <= 0.0:
        return 0.0, math.log((positives + 1.0) / (len(labels) - positives + 1.0))
    return steep, offset
