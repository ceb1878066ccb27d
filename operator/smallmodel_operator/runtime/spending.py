"""What models cost: looks at nodes, pods and gateways, adds up, and keeps the sum where a restart finds it.

One place ticks for all models. Everything that is decided is in cost/; here are the clock and the effects.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final, Protocol

import aiohttp

from smallmodel_operator.cluster.client import ApiError
from smallmodel_operator.cluster.energy_meters import PodIdentity
from smallmodel_operator.cluster.fence import NotLeader
from smallmodel_operator.cluster.spend import TooLarge
from smallmodel_operator.control import spend
from smallmodel_operator.core.budget import Spent
from smallmodel_operator.core.energy import Meters
from smallmodel_operator.core.facts import Object
from smallmodel_operator.core.money import BadCost
from smallmodel_operator.core.traffic import Tally
from smallmodel_operator.cost import checkpoint, rate
from smallmodel_operator.cost.ledger import PricedNode, microseconds
from smallmodel_operator.cost.pool import PricedProfile
from smallmodel_operator.cost.pricelist import PriceList
from smallmodel_operator.cost.rate import Rate
from smallmodel_operator.cost.state import State, advance, begin, shorter
from smallmodel_operator.runtime import cost_metrics, metrics

TICK_SECONDS: Final = 30.0
KEEP_SECONDS: Final = 300.0
"""How often the ledger is kept, and nodes, others' pods and the price list are read anew."""
OUTAGES: Final = (ApiError, aiohttp.ClientError, TimeoutError, NotLeader)

logger = logging.getLogger(__name__)


class Store(Protocol):
    """See cluster/spend.py."""

    async def load(self) -> str | None: ...
    async def save(self, text: str) -> bool: ...
    async def prices(self) -> Object | None: ...


class Places(Protocol):
    """See cluster/spend.py."""

    async def nodes(self) -> list[dict[str, Any]]: ...
    async def others(self) -> list[dict[str, Any]] | None: ...
    async def profiles(self) -> list[dict[str, Any]]: ...
    async def any_model(self, places: tuple[str | None, ...]) -> bool: ...


@dataclass(frozen=True, slots=True)
class Seen:
    """What the watches know: ComputeProfiles, models' pods, and whether they have told anything at all.

    `profiles` is empty, and `synced` false, until they have; `places` are the namespaces served (None: all).
    """

    profiles: Callable[[], Iterable[Object]]
    pods: Callable[[], Iterable[tuple[tuple[str, str], Object]]]
    synced: Callable[[], bool]
    places: tuple[str | None, ...] = (None,)


class Asked(Protocol):
    """See cluster/energy_meters.py."""

    problem: str

    async def read(self, pods: Collection[PodIdentity]) -> Meters: ...


async def _nobody(_: Object, __: str) -> None: ...


class Spending:
    """Keeps the ledger. `now` is the time, `clock` seconds that only grow."""

    def __init__(
        self,
        store: Store,
        places: Places,
        seen: Seen,
        usage: Callable[[], Any],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`usage`: asks the gateways what they counted; a coroutine that gives {gateway: Tally}."""
        self._store, self._places, self._seen, self._usage = store, places, seen, usage
        self._now, self._clock = now, clock
        self.state: State | None = None
        """None: it was not read yet, or there is none."""
        self._loaded = False
        self._kept_at = float("-inf")
        self._read_at = float("-inf")
        self._nodes: list[dict[str, Any]] = []
        self._others: list[dict[str, Any]] = []
        self._priced: bool | None = None
        """Does any profile say a price? None: not known yet, so that what statuses say stays."""
        self._prices: PriceList | None = None
        self._problems: dict[str, str] = {}
        self._hourly: dict[str, tuple[str, Decimal]] = {}
        self._rates: dict[str, Rate] = {}
        self.counted: Callable[[], None] = lambda: None
        """Called when the ledger was added up again; who judges budgets sets it."""
        self.meters: Asked | None = None
        """Asked what pods' counters say; None: energy is what their shares of nodes draw."""
        self.warn: Callable[[Object, str], Awaitable[None]] = _nobody
        """Told what is wrong with a ConfigMap that its owner has to mend; who sends events sets it."""

    def spent(self, model: tuple[str, str], currency: str) -> Spent | None:
        """What a model has cost this month in a currency, and its replica costs now; None: not known."""
        if not self._loaded or not self._priced or self.state is None:
            return None
        name = f"{model[0]}/{model[1]}"
        return spend.spent_of(self.state, name, currency, self._hourly.get(name), self._rates.get(name), self._now())

    def cost(self, model: tuple[str, str], status: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """`status.cost` of a model; None: not known; empty: it cost nothing, or nobody says what nodes cost."""
        if not self._loaded or self._priced is None:
            return None
        if self.state is None or not self._priced:
            return {}
        return spend.cost_of(self.state, model, status, self._prices, self._now())

    async def run(self) -> None:
        """Until cancelled; then what was spent since is kept once more. No failure ends it."""
        try:
            while True:
                await self.step()
                await asyncio.sleep(TICK_SECONDS)
        finally:
            await self._keep_last()

    async def step(self) -> None:
        """One look, and what is due with it."""
        try:
            await self._tick()
            self._problem("look", "")
        except OUTAGES as error:
            why = str(error) or type(error).__name__
            self._problem("look", f"cost is not counted just now, it will be afterwards: {why}")
        except Exception:
            logger.exception("cost could not be counted, trying again")
            metrics.COST_PROBLEM.labels("look").set(1)

    async def _tick(self) -> None:
        # None that the watch has told of is not none: the time until now would be charged to nobody.
        profiles = spend.profiles_of(list(self._seen.profiles()) or await self._places.profiles())
        if not self._loaded and not await self._load():
            return
        if not profiles and self.state is None:
            self._priced = False
            return
        if not self._seen.synced() and await self._places.any_model(self._seen.places):
            return  # pods are there that nobody has told of yet: they must not count as idle
        if self._clock() - self._read_at > KEEP_SECONDS:
            await self._read()
        tallies: Mapping[str, Tally] = await self._usage()
        counters = await self._counters() if profiles else {}
        at = microseconds(self._now())
        if self.state is None:
            self.state = begin(at, tallies)
        nodes = self._looked_at(profiles)
        before, length = self.state, max(0, at - self.state.at)
        self.state = advance(before, nodes, tallies, at, spend.drawn_of(nodes, before.meters, counters, length))
        cost_metrics.drew(before, self.state)
        self._rates = spend.rates(self.state, self._rates, self._now())
        hourly = {**self._hourly, **rate.hourly(nodes)}
        self._hourly = {name: price for name, price in hourly.items() if name in self._rates}
        self._priced = bool(profiles)
        cost_metrics.show(self.state, self._prices, self._now())
        self.counted()
        if profiles and self._clock() - self._kept_at >= KEEP_SECONDS:
            await self._keep()

    async def _counters(self) -> Meters:
        if self.meters is None:
            return {}
        pods = [spend.named(pod) for _, pod in self._seen.pods() if (pod.get("spec") or {}).get("nodeName")]
        found = await self.meters.read(pods)
        self._problem("energy", self.meters.problem)
        return found

    def _looked_at(self, profiles: list[PricedProfile]) -> tuple[PricedNode, ...]:
        if not profiles:
            return ()
        return spend.nodes_of(self._nodes, spend.pods_of(self._seen.pods(), self._others), profiles)

    async def _read(self) -> None:
        self._nodes = await self._places.nodes()
        others = await self._places.others()
        self._others = others or []
        self._problem("others", "" if others is not None else "other pods may not be listed: they count as idle")
        found = await self._store.prices()
        try:
            self._prices = spend.prices_of(found)
            wrong = self._prices.warning(self._now().date()) if self._prices else ""
        except BadCost as error:
            self._prices, wrong = None, f"the cloud's price list cannot be used: {error}"
        self._problem("prices", wrong)
        if wrong and found:
            await self.warn(found, wrong)
        self._read_at = self._clock()

    async def _load(self) -> bool:
        """False: there is something that cannot be read, which is not overwritten."""
        try:
            text = await self._store.load()
            self.state = checkpoint.load(text) if text is not None else None
        except ValueError as error:
            way_out = "A restored ConfigMap is taken up at once; without any (kubectl delete) counting begins anew."
            self._problem("ledger", f"what was spent cannot be read, so nothing is counted: {error}. {way_out}")
            return False
        self._problem("ledger", "")
        self._loaded = True
        self._kept_at = self._clock()
        return True

    async def _keep(self) -> None:
        assert self.state is not None
        try:
            kept = await self._store.save(checkpoint.dump(self.state))
        except TooLarge as error:
            fewer = shorter(self.state)
            if fewer is None:
                self._problem("keep", f"what was spent cannot be kept: {error}, even of this month alone")
                return None
            logger.warning("%s: the oldest month goes", error)
            self.state = fewer
            return await self._keep()
        if kept:
            self._problem("keep", "")
            self._kept_at = self._clock()
            metrics.COST_KEPT.set(self._now().timestamp())
        else:
            logger.warning("somebody else changed what was spent: it is read again")
            self._loaded = False
        return None

    async def _keep_last(self) -> None:
        if self.state is not None and self._loaded and self._priced:
            try:
                await self._keep()
            except OUTAGES as error:
                logger.debug("the last checkpoint could not be written: %s", error)

    def _problem(self, work: str, text: str) -> None:
        """Say what keeps it from its work, once until it changes."""
        if text and self._problems.get(work) != text:
            logger.warning("%s", text)
        self._problems[work] = text
        metrics.COST_PROBLEM.labels(work).set(bool(text))
