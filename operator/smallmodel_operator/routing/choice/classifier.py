"""What was learned, and what it says of a prompt: shall a larger model answer it, or which class of tasks is it of."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from smallmodel_operator.routing.choice import ngrams
from smallmodel_operator.routing.choice.linear import Plane, sigmoid


@dataclass(frozen=True, slots=True)
class Because:
    """One n-gram and what it added to the margin; above 0 speaks for the class or for escalation."""

    ngram: str
    weight: float


@dataclass(frozen=True, slots=True)
class Escalation:
    """Learned from the answers of two models."""

    plane: Plane

    def probability(self, text: str) -> float:
        """How likely, 0 to 1, the larger model's answer is right where the smaller one's is wrong."""
        return sigmoid(self.plane.margin(ngrams.places(text)))

    def explain(self, text: str, most: int = 10) -> list[Because]:
        """The n-grams that decided, the weightiest first."""
        return _weightiest(text, self.plane, most)


@dataclass(frozen=True, slots=True)
class TaskClass:
    """Learned from labelled prompts: one plane for each class. A prompt that is like none has none."""

    planes: Mapping[str, Plane]
    least: float
    """Probability a class needs; below it the answer is None, and a route takes its default."""

    def probabilities(self, text: str) -> dict[str, float]:
        """Each class against all others: they need not add up to 1, and all are small for a prompt of another kind."""
        places = ngrams.places(text)
        return {name: sigmoid(plane.margin(places)) for name, plane in self.planes.items()}

    def choose(self, text: str) -> tuple[str | None, float]:
        """The class and its probability; None where none is probable enough."""
        found = self.probabilities(text)
        best = max(found, key=lambda name: (found[name], name))
        return (best if found[best] >= self.least else None), found[best]

    def explain(self, text: str, name: str, most: int = 10) -> list[Because]:
        """The n-grams that spoke for class `name`, or against it, the weightiest first.

        Raises:
            KeyError: it was not learned.
        """
        return _weightiest(text, self.planes[name], most)


Classifier = Escalation | TaskClass


def _weightiest(text: str, plane: Plane, most: int) -> list[Because]:
    named = ngrams.named(text)
    scale = 1.0 / math.sqrt(len(set(named.values()))) if named else 0.0
    found = [Because(name, plane.weights[place] * scale) for name, place in named.items() if plane.weights[place]]
    return sorted(found, key=lambda because: (-abs(because.weight), because.ngram))[:most]
