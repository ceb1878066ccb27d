"""Runs the controllers of all models that follow an objective, and shares the pool where it does not hold everything.

One look at all of them every few seconds, and one more as soon as a model starts. What is said is kept here; a model
is poked when that changes, and its pass writes replicas and status. So the Deployment has one writer, and a look
costs the API server nothing, or two lists while models want more than they have.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Final

from smallmodel_operator.autoscaling.objective import TICK_SECONDS
from smallmodel_operator.cluster.children import ModelKey
from smallmodel_operator.control import objective, pool, standing
from smallmodel_operator.control.objective import Held, Subject
from smallmodel_operator.control.pool import Applicant, PoolStanding, Site, Tenant
from smallmodel_operator.core.scaling import Granted, Objective, Scaled
from smallmodel_operator.core.traffic import Traffic

logger = logging.getLogger(__name__)
_FAILED: Final = "the controller of %s/%s failed; what runs is kept"
GATHER_SECONDS: Final = 0.3
"""Models that start together are looked at together."""
Traffics = Mapping[ModelKey, Traffic]


@dataclass(slots=True)
class _Model:
    subject: Subject | None = None
    held: Held = field(default_factory=Held)
    tenant: Tenant | None = None
    standing: PoolStanding = field(default_factory=PoolStanding)

    @property
    def needs(self) -> int | None:
        """Replicas its controller asks for at this moment; None: none does."""
        return self.held.needs if self.held.said else None


def _asked(subject: Subject) -> Objective:
    """What is measured against: other limits make it no other wish."""
    return replace(subject.objective, least=0, most=0)


class Scaler:
    """`traffic` asks the gateways of many models at once; `poke` is told of each model there is something new for."""

    def __init__(
        self,
        traffic: Callable[[Collection[ModelKey]], Awaitable[Traffics]],
        poke: Callable[[ModelKey], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._traffic, self._poke, self._clock = traffic, poke, clock
        self._models: dict[ModelKey, _Model] = {}
        self._starts = asyncio.Event()
        self.observe: Callable[[ModelKey, Scaled | None, float | None], None] = lambda *_: None
        """Told of each look, for metrics: what is said, and the percentage in time by now; None: the model is gone."""
        self.site: Callable[[], Awaitable[Site | None]] = _unknown
        """Looks at the nodes and who is on them; None: they may not be read, and nothing is shared."""

    def follow(self, model: ModelKey, subject: Subject | None, tenant: Tenant | None = None) -> None:
        """A pass saw the model so.

        Args:
            model: whose pass it was.
            subject: what its controller has to know; None: it follows no objective, is off or asleep, and what was
                said is forgotten.
            tenant: its part in the pool; None: its replicas do not move, or there is none.
        """
        known = self._models.setdefault(model, _Model())
        self._heed(model, known, subject)
        before = known.tenant
        if tenant is None or (before and before.uid != tenant.uid):
            known.standing = PoolStanding()
        elif before is None:
            known.standing = standing.recalled(bool(tenant.replicas), tenant.lasted, self._clock())
        if tenant is not None and tenant.replicas > tenant.ready and tenant != before:
            self._starts.set()
        known.tenant = tenant
        if subject is None and tenant is None:
            del self._models[model]

    def _heed(self, model: ModelKey, known: _Model, subject: Subject | None) -> None:
        old = known.subject
        known.subject = subject
        if subject is None:
            if old is not None:
                known.held = Held()
                self.observe(model, None, None)
        elif old is not None and (old.uid, _asked(old)) != (subject.uid, _asked(subject)):
            known.held = Held()  # another wish: what was in time for the old one says nothing

    def said(self, model: ModelKey) -> Scaled | None:
        """The last word on a model; None: there was none yet."""
        known = self._models.get(model)
        return known.held.said if known else None

    def granted(self, model: ModelKey) -> Granted | None:
        """What a model may have of the pool; None: all it wants."""
        known = self._models.get(model)
        return known.standing.granted if known else None

    async def run(self) -> None:
        """Until cancelled."""
        due = self._clock() + TICK_SECONDS
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, due - self._clock())):
                    await self._starts.wait()
                    await asyncio.sleep(GATHER_SECONDS)
            if all_due := self._clock() >= due:
                due = self._clock() + TICK_SECONDS
            await self.look(controllers=all_due)

    async def look(self, *, controllers: bool = True) -> None:
        """One look at all models. `controllers`: also at how their objectives stand, else at the pool alone."""
        self._starts.clear()
        if not self._models:
            return
        try:
            traffic = await self._traffic(list(self._models))
        except Exception:
            logger.exception("the gateways could not be asked; what runs is kept")
            return
        if controllers:
            await self._tick(traffic)
        try:
            await self._share(traffic)
        except Exception:
            logger.exception("the pool could not be shared; what runs is kept")

    async def _tick(self, traffic: Traffics) -> None:
        asked = [(m, k.held, k.subject, traffic[m]) for m, k in self._models.items() if k.subject and m in traffic]
        # Their tables are some milliseconds of arithmetic, which nobody else should wait for.
        ticked = await asyncio.to_thread(_ticked, asked, self._clock())
        for model, old, _, _ in asked:
            known, held = self._models.get(model), ticked.get(model)
            if held is None or known is None or known.subject is None or known.held is not old:
                continue  # it failed, or its wish is another one by now
            known.held = held
            self.observe(model, held.said, held.state.budget.attainment_percent)
            if held.said != old.said:
                self._poke(model)

    async def _share(self, traffic: Traffics) -> None:
        applicants = {
            m: Applicant(known.tenant, known.held.said, traffic[m], known.standing, known.needs)
            for m, known in self._models.items()
            if known.tenant is not None and m in traffic
        }
        found: Mapping[ModelKey, PoolStanding] = {}
        if pool.tight(applicants.values()):
            site = await self.site()
            if site is not None:
                found = await asyncio.to_thread(self._decide, applicants, site)
        for model, applicant in applicants.items():
            known = self._models.get(model)
            if known is None or known.tenant is None or known.standing is not applicant.standing:
                continue  # gone, or begun anew, meanwhile
            known.standing = found.get(model) or standing.roomy(applicant.standing)
            if known.standing.granted != applicant.standing.granted:
                self._poke(model)

    def _decide(self, applicants: Mapping[ModelKey, Applicant], site: Site) -> Mapping[ModelKey, PoolStanding]:
        return pool.decide(applicants, site, self._clock(), self._gains)

    def _gains(self, model: ModelKey) -> tuple[float, ...]:
        known = self._models.get(model)
        return objective.gains(known.held, known.subject) if known and known.subject else ()


def _ticked(asked: Iterable[tuple[ModelKey, Held, Subject, Traffic]], now: float) -> dict[ModelKey, Held]:
    found = {}
    for model, held, subject, traffic in asked:
        try:
            found[model] = objective.tick(held, subject, traffic, now)
        except Exception:
            logger.exception(_FAILED, *model)
    return found


async def _unknown() -> Site | None:
    return None
