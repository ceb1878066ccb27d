"""What the gateways say, by way of Prometheus: for who scales on objectives where `prometheus.url` is set.

Nobody waits for Prometheus: it is asked beside the loop, by one thread, and who wants to know has the last whole look.
That is a scrape of every gateway that is ready, each newer than in the look before, so a look spans one interval of
each. Which gateways there are Kubernetes knows: what was scraped of others is dropped, and one without is unknown.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final, Protocol

from smallmodel_operator.cluster.breaker import Breaker
from smallmodel_operator.cluster.children import ModelKey
from smallmodel_operator.cluster.scraped import WHOLE_SECONDS, NoAnswer, Scrapes, Vector, models, queries, scrapes
from smallmodel_operator.cluster.signals import words_of
from smallmodel_operator.core.traffic import GatewayReport, Traffic

ASK_SECONDS: Final = 2.5
"""Half a tick of the controllers: a scrape is heard of by the next one."""
WANTED_SECONDS: Final = 30.0
"""Where nobody has asked for so long, no model has an objective."""
SLACK_SECONDS: Final = 15.0
"""Beyond two intervals (one until the last gateway of a look is scraped, one until the next look is whole): for slow
scrapes and for our own steps. What is older says nothing about now."""
SOURCE: Final = "Prometheus"

logger = logging.getLogger(__name__)


class Server(Protocol):
    """Prometheus itself: cluster.prometheus has it."""

    url: str

    def query(self, text: str, at: float | None = None) -> Vector: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Look:
    """Whole scrapes, heard at `heard` of our clock; `words` of a GatewayReport by gateway and model."""

    heard: float
    scrapes: Scrapes
    words: Mapping[str, Mapping[str, Mapping[str, Any]]]


class ScrapedSignals:
    """Asks `server`. `gateways` is told by Kubernetes: those there, and whether each is ready."""

    def __init__(
        self,
        server: Server,
        gateways: Callable[[], Mapping[str, bool]],
        interval: float,
        match: Mapping[str, str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._server, self._gateways, self._interval, self._clock = server, gateways, interval, clock
        self._times, self._parts = queries(match)
        self._lasts = 2 * interval + SLACK_SECONDS
        self._wanted = float("-inf")
        self._breaker = Breaker()
        self._seen: Scrapes | None = None
        self._look: Look | None = None
        self._at = 0.0
        self._trouble = ""
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="prometheus")
        self._running: asyncio.Future[tuple[Scrapes, Look | None]] | None = None

    async def follow(self) -> None:
        """Until cancelled."""
        while True:
            if self._clock() - self._wanted <= WANTED_SECONDS:
                await self.ask()
            await asyncio.sleep(ASK_SECONDS)

    async def traffic(self, model: ModelKey) -> Traffic:
        """Every gateway's word on a model as it was last scraped; does not wait for anybody."""
        return (await self.traffics((model,)))[model]

    async def traffics(self, models: Collection[ModelKey]) -> dict[ModelKey, Traffic]:
        """The same of many models, of one moment."""
        now = self._wanted = self._clock()
        there = self._gateways()
        return {model: self._traffic(f"{model[0]}/{model[1]}", there, now) for model in models}

    def _traffic(self, target: str, there: Mapping[str, bool], now: float) -> Traffic:
        said = {name: self._report(name, target, now) for name in there}
        reports = tuple(said[name] for name, ready in there.items() if ready)
        leaving = tuple(said[name] for name, ready in there.items() if not ready)
        return Traffic(
            reports, leaving, at=self._at if self._look else None, source=SOURCE, problem=self._problem(reports, target)
        )

    async def ask(self) -> None:
        """One look, if it is time for one."""
        now = self._clock()
        if not self._breaker.closed(now):
            return
        if self._running is not None and not self._running.done():
            self._failed(f"no answer within {WHOLE_SECONDS:g} s")
            return
        ready = frozenset(name for name, is_ready in self._gateways().items() if is_ready)
        before = self._look.scrapes if self._look else None
        self._running = asyncio.get_running_loop().run_in_executor(self._thread, self._asked, before, ready)
        try:
            async with asyncio.timeout(2 * WHOLE_SECONDS):
                self._seen, look = await asyncio.shield(self._running)
        except TimeoutError:
            self._failed(f"no answer within {WHOLE_SECONDS:g} s")
        except NoAnswer as error:
            self._failed(str(error))
        else:
            if self._trouble:
                logger.info("Prometheus at %s answers again", self._server.url)
            self._breaker, self._trouble = Breaker(), ""
            if look is not None:
                self._look = look
                ages = [look.scrapes.of[name].age for name in ready]
                self._at = look.heard - sum(ages) / len(ages)

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)
        self._server.close()

    def _asked(self, before: Scrapes | None, ready: frozenset[str]) -> tuple[Scrapes, Look | None]:
        """In the thread. None: not every gateway has been scraped since."""
        seen = scrapes(self._server.query(self._times), self._interval)
        heard = self._clock()
        if not seen.newer(before, ready):
            return seen, None
        # All of it as of one moment, for scrapes go on while we ask; one that was under way then may be in a part.
        vectors = [self._server.query(part, seen.asked) for part in self._parts]
        if any(scrapes(vector, self._interval) != seen for vector in vectors):
            return seen, None
        words = {
            gateway: {target: words_of(said) for target, said in targets.items()}
            for gateway, targets in models(vectors, seen).items()
        }
        return seen, Look(heard, seen, words)

    def _failed(self, why: str) -> None:
        self._breaker = self._breaker.failed(self._clock())
        if why != self._trouble:
            logger.warning("Prometheus at %s: %s", self._server.url, why)
        self._trouble = why

    def _report(self, gateway: str, target: str, now: float) -> GatewayReport:
        look = self._look
        scrape = look.scrapes.of.get(gateway) if look else None
        if look is None or scrape is None:
            return GatewayReport(gateway, float("inf"), routes=False)
        age, said = scrape.age + now - look.heard, look.words.get(gateway, {}).get(target)
        if said is None:
            return GatewayReport(gateway, age, routes=False, lasts=self._lasts)
        return GatewayReport(gateway, age, routes=True, lasts=self._lasts, **said)

    def _problem(self, reports: tuple[GatewayReport, ...], target: str) -> str:
        """Why not everything is known, in one sentence without numbers that move; empty: everything is."""
        where = f"Prometheus at {self._server.url}"
        if not reports:
            return "no gateway is ready"
        if silent := [r.gateway for r in reports if not r.fresh]:
            if self._trouble:
                return f"{where} says nothing: {self._trouble}"
            if self._seen is not None and (doubled := self._seen.doubled & set(silent)):
                return (
                    f"{where} scrapes several gateways of the name {', '.join(sorted(doubled))}: say in "
                    "`prometheus.matchLabels` which labels those of this cluster have"
                )
            return (
                f"{where} has no scrape of {', '.join(silent)} within {self._lasts:g} s: it has to scrape port 10091 "
                f"of the gateways' pods each `prometheus.scrapeSeconds` ({self._interval:g})"
            )
        if lacking := [r.gateway for r in reports if r.counts is None]:
            return f"{where} has not all series of {target} from {', '.join(lacking)}"
        return ""
