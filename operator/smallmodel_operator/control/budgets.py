"""Judges the cost objectives of all models after each look at the ledger, and wakes passes where the word is another.

What was said stays the same value while only numbers move, so that a look costs the API server nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from smallmodel_operator.cluster.children import ModelKey
from smallmodel_operator.control import budget
from smallmodel_operator.control.budget import Subject
from smallmodel_operator.core.budget import Budgeted, Spent


@dataclass(slots=True)
class _Model:
    subject: Subject
    said: Budgeted | None = None


class Budgets:
    """`spent` tells what a model has cost in a currency; `poke` is told of each model of which there is news."""

    def __init__(
        self,
        spent: Callable[[ModelKey, str], Spent | None],
        poke: Callable[[ModelKey], None],
        now: Callable[[], datetime],
    ) -> None:
        self._spent, self._poke, self._now = spent, poke, now
        self._models: dict[ModelKey, _Model] = {}
        self.observe: Callable[[ModelKey, Subject | None, Spent | None], None] = lambda *_: None
        """Told of each look, for metrics; None: the model is gone."""

    def follow(self, model: ModelKey, subject: Subject | None) -> None:
        """A pass saw the model so. None: it has no cost objective that can be held, or is off."""
        known = self._models.get(model)
        if subject is None:
            if self._models.pop(model, None):
                self.observe(model, None, None)
        elif known is None or known.subject.uid != subject.uid or known.subject.cost != subject.cost:
            if known is not None:
                self.observe(model, None, None)  # in another currency, perhaps
            self._models[model] = _Model(subject)
            self._judge(model, self._models[model])
        elif known.subject != subject:
            known.subject = subject
            self._judge(model, known)

    def said(self, model: ModelKey) -> Budgeted | None:
        """The last word on a model; None: there was none yet."""
        known = self._models.get(model)
        return known.said if known else None

    def look(self) -> None:
        """The ledger was added up again."""
        for model, known in list(self._models.items()):
            self._judge(model, known)

    def _judge(self, model: ModelKey, known: _Model) -> None:
        spent = self._spent(model, known.subject.cost.currency)
        found = budget.judge(known.subject, spent, self._now(), known.said or known.subject.kept)
        self.observe(model, known.subject, spent)
        if known.said is None or known.said.state != found.state:
            known.said = found
            self._poke(model)
