"""How often a classifier names the class of a task that a person named. Pure."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from smallmodel_operator.routing.choice.classifier import TaskClass


@dataclass(slots=True)
class Told:
    """What was said of the prompts of one class. `chosen`: by class, None where none was sure enough; `nearest`: how
    often theirs was the most probable one, sure enough or not."""

    chosen: Counter[str | None] = field(default_factory=Counter)
    nearest: int = 0

    @property
    def n(self) -> int:
        return self.chosen.total()


def tell(learned: TaskClass, examples: Iterable[tuple[str, str]], least: float) -> dict[str, Told]:
    """By class of (prompt, class). `least`: the probability a class needs, as `classifier.threshold` of a route."""
    found: dict[str, Told] = {}
    for prompt, name in examples:
        said = learned.probabilities(prompt)
        best = max(said, key=lambda one: (said[one], one))
        told = found.setdefault(name, Told())
        told.chosen[best if said[best] >= least else None] += 1
        told.nearest += best == name
    return dict(sorted(found.items()))


def figures(learned: TaskClass, told: dict[str, Told]) -> dict[str, object]:
    """Shares over all prompts of classes that were learned; prompts of other classes (`strangers`) should get none."""
    known = {name: one for name, one in told.items() if name in learned.planes}
    strangers = [one for name, one in told.items() if name not in learned.planes]
    n, others = sum(one.n for one in known.values()), sum(one.n for one in strangers)
    right = sum(one.chosen[name] for name, one in known.items())
    undecided = sum(one.chosen[None] for one in known.values())
    return {
        "n": n,
        "nearest": _share(sum(one.nearest for one in known.values()), n),
        "right": _share(right, n),
        "undecided": _share(undecided, n),
        "wrong": _share(n - right - undecided, n),
        "strangers": others,
        "strangers_undecided": _share(sum(one.chosen[None] for one in strangers), others),
        "classes": [_of(name, one) for name, one in told.items()],
    }


def _of(name: str, told: Told) -> dict[str, object]:
    others = {other: count for other, count in told.chosen.most_common() if other not in (name, None)}
    return {
        "class": name,
        "n": told.n,
        "right": told.chosen[name],
        "undecided": told.chosen[None],
        "wrong_as": others,
    }


def _share(part: int, of: int) -> float | None:
    return round(part / of, 4) if of else None
