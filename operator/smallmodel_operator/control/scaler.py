"""Runs the controllers of all models that follow an objective, one look at each every few seconds.

What a controller says is kept here; a model is poked when that changes, and its pass writes replicas and status. So
the Deployment has one writer, and a look costs the API server nothing.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from smallmodel_operator.autoscaling.objective import TICK_SECONDS
from smallmodel_operator.cluster.children import ModelKey
from smallmodel_operator.control import objective
from smallmodel_operator.control.objective import Held, Subject
from smallmodel_operator.core.scaling import Scaled
from smallmodel_operator.core.traffic import Traffic

logger = logging.getLogger(__name__)
_FAILED: Final = "the controller of %s/%s failed; what runs is kept"


@dataclass(slots=True)
class _Model:
    subject: Subject
    held: Held


class Scaler:
    """`traffic` asks the gateways; `poke` is told of each model whose controller has something new to say."""

    def __init__(
        self,
        traffic: Callable[[ModelKey], Awaitable[Traffic]],
        poke: Callable[[ModelKey], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._traffic, self._poke, self._clock = traffic, poke, clock
        self._models: dict[ModelKey, _Model] = {}
        self.observe: Callable[[ModelKey, Scaled | None, float | None], None] = lambda *_: None
        """Told of each look, for metrics: what is said, and the percentage in time by now; None: the model is gone."""

    def follow(self, model: ModelKey, subject: Subject | None) -> None:
        """A pass saw the model so. None: it follows no objective, is off or asleep; what was said is forgotten."""
        known = self._models.get(model)
        if subject is None:
            if self._models.pop(model, None):
                self.observe(model, None, None)
            return
        if known is None or known.subject.uid != subject.uid or known.subject.objective != subject.objective:
            self._models[model] = _Model(subject, Held())  # another wish: what was in time for the old one says nothing
        else:
            known.subject = subject

    def said(self, model: ModelKey) -> Scaled | None:
        """The last word on a model; None: there was none yet."""
        known = self._models.get(model)
        return known.held.said if known else None

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(TICK_SECONDS)
            for model in list(self._models):
                await self.look(model)

    async def look(self, model: ModelKey) -> None:
        """One look at a model."""
        if (known := self._models.get(model)) is None:
            return
        subject, before = known.subject, known.held
        try:
            traffic = await self._traffic(model)
            # Its tables are some milliseconds of arithmetic, which nobody else should wait for.
            held = await asyncio.to_thread(objective.tick, before, subject, traffic, self._clock())
        except Exception:
            logger.exception(_FAILED, *model)
            return
        if self._models.get(model) is not known or known.held is not before:
            return  # its wish is another one by now
        known.held = held
        self.observe(model, held.said, held.state.budget.attainment_percent)
        if held.said != before.said:
            self._poke(model)
