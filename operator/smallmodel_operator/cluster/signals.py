"""What the gateways say: `GET /signals` of every gateway pod, asked for when somebody needs to know."""

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

import aiohttp
import orjson

from smallmodel_operator.api.names import GATEWAY
from smallmodel_operator.autoscaling.prompts import BINS
from smallmodel_operator.cluster.children import ModelKey
from smallmodel_operator.cluster.client import ApiError, Client
from smallmodel_operator.core.traffic import ColdStart, Counts, GatewayReport, Judged, Tally, Traffic, Usage

SIGNALS_PORT: Final = 10091
ASK_SECONDS: Final = 1.0
"""Answers younger than this serve everyone who asks."""
WHO_SECONDS: Final = 5.0
"""How long the list of gateway pods answers for."""
GONE_SECONDS: Final = 900.0
"""A gateway that is to end and silent for so long is gone with its node: its grace period (630 s) is long over."""
TIMEOUT: Final = aiohttp.ClientTimeout(total=2)
SILENT_SECONDS: Final = 0.1
"""How long everybody waits for a gateway that did not answer last time; it is given the whole TIMEOUT all the same."""
STAGES: Final = ("schedule", "container", "load")
NEVER: Final = float("-inf")

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _Gateway:
    at: float = NEVER
    models: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Words of a GatewayReport by `<namespace>/<name>`."""
    routes: frozenset[str] = frozenset()
    """ModelRoutes in its configuration."""


@dataclass(frozen=True, slots=True)
class _Pod:
    """A gateway's pod in the EndpointSlices of its Service."""

    url: str
    ready: bool = True
    terminating: bool = False


class Signals:
    """Asks gateways, once for all who want to know. `addresses` replaces the search for gateway pods."""

    def __init__(
        self,
        client: Client,
        namespace: str,
        addresses: Mapping[str, str] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._namespace = namespace
        self._fixed = addresses
        self._clock = clock
        self._who = {name: _Pod(url) for name, url in (addresses or {}).items()}
        self._ending: dict[str, float] = {}
        """Those that are to end, and since when as seen from here."""
        self._who_at = NEVER
        self._gateways: dict[str, _Gateway] = {}
        self._asked_at = NEVER
        self._asking: asyncio.Task[None] | None = None
        self._hearing: dict[str, asyncio.Task[None]] = {}
        """Questions under way, by gateway."""
        self._silent: set[str] = set()
        """Those that did not answer the last question."""
        self._session: aiohttp.ClientSession | None = None
        self._finding = asyncio.Lock()
        self.turned: Callable[[], None] = lambda: None
        """Called when the last ready gateway goes, and when the first one is there again."""

    async def follow(self) -> None:
        """Until cancelled: a model at rest is asked about by nobody, and would not hear that no gateway is left."""
        while True:
            await asyncio.sleep(WHO_SECONDS)
            try:
                await self._find()
            except Exception:
                logger.exception("gateways cannot be looked for, trying again")

    async def traffic(self, model: ModelKey) -> Traffic:
        """Every gateway's word on a model, at most about a second old where the gateway answers."""
        return (await self.traffics((model,)))[model]

    async def traffics(self, models: Collection[ModelKey]) -> dict[ModelKey, Traffic]:
        """The same of many models, of one moment."""
        if self._clock() - self._asked_at > ASK_SECONDS:
            if self._asking is None or self._asking.done():
                self._asking = asyncio.create_task(self._ask())
            await asyncio.shield(self._asking)
        now = self._clock()
        ready = [name for name, pod in self._who.items() if pod.ready]
        leaving = [name for name, pod in self._who.items() if not pod.ready and not self._gone(name, now)]
        return {model: Traffic(self._said(ready, model, now), self._said(leaving, model, now)) for model in models}

    def _said(self, names: Iterable[str], model: ModelKey, now: float) -> tuple[GatewayReport, ...]:
        target = f"{model[0]}/{model[1]}"
        return tuple(_report(name, self._gateways.get(name, _Gateway()), target, now) for name in names)

    def gateways(self) -> dict[str, bool]:
        """Those there as last heard, and whether each is ready; `follow` keeps it up to date."""
        now = self._clock()
        return {name: pod.ready for name, pod in self._who.items() if pod.ready or not self._gone(name, now)}

    async def usage(self) -> dict[str, Tally]:
        """What each gateway has counted, by its name; one that does not answer is left out."""
        await self._find()
        session = self._session = self._session or aiohttp.ClientSession(timeout=TIMEOUT)
        who = dict(self._who)
        said = await asyncio.gather(*(_usage(name, pod.url, session) for name, pod in who.items()))
        return {name: tally for name, tally in zip(who, said, strict=True) if tally is not None}

    async def close(self) -> None:
        for task in (self._asking, *self._hearing.values()):
            if task is not None:
                task.cancel()
        if self._session is not None:
            await self._session.close()

    async def _ask(self) -> None:
        await self._find()
        self._session = self._session or aiohttp.ClientSession(timeout=TIMEOUT)
        now = self._clock()
        for name, pod in self._who.items():
            if name not in self._hearing and not self._gone(name, now):
                task = self._hearing[name] = asyncio.create_task(self._hear(name, pod.url, self._session))
                task.add_done_callback(lambda _, name=name: self._hearing.pop(name))  # type: ignore[misc]
        # A dead gateway takes the whole TIMEOUT, and every pass of every model would wait for it.
        awaited = {task for name, task in self._hearing.items() if name not in self._silent}
        if self._hearing:
            await asyncio.wait(self._hearing.values(), timeout=SILENT_SECONDS)
        if left := {task for task in awaited if not task.done()}:
            await asyncio.wait(left)
        self._gateways = {name: self._gateways[name] for name in self._who if name in self._gateways}
        self._silent &= self._who.keys()
        self._asked_at = self._clock()

    async def _find(self) -> None:
        if self._fixed is not None:
            return
        async with self._finding:  # an answer that comes late must not undo a newer one
            if self._clock() - self._who_at <= WHO_SECONDS:
                return
            try:
                selector = f"kubernetes.io/service-name={GATEWAY}-pods"
                slices = await self._client.list("EndpointSlice", self._namespace, labelSelector=selector)
            except (ApiError, aiohttp.ClientError, TimeoutError) as error:
                logger.debug("gateways cannot be listed, those known are kept: %s", error)
                return
            self._found(_pods(slices))

    def _found(self, who: dict[str, _Pod]) -> None:
        first, before = self._who_at == NEVER, _any_ready(self._who)
        self._who, self._who_at = who, self._clock()
        ending = [name for name, pod in who.items() if pod.terminating]
        self._ending = {name: self._ending.get(name, self._who_at) for name in ending}
        if not first and _any_ready(who) != before:
            self._asked_at = NEVER  # a gateway that is new was not asked yet
            self.turned()

    def _gone(self, name: str, now: float) -> bool:
        """A dead node's pod stays in the slices until somebody removes it: it must not keep models awake for ever."""
        heard = self._gateways.get(name, _Gateway()).at
        return name in self._ending and now - max(heard, self._ending[name]) > GONE_SECONDS

    async def _hear(self, name: str, url: str, session: aiohttp.ClientSession) -> None:
        try:
            async with session.get(f"{url}/signals") as response:
                answer = orjson.loads(await response.read()) if response.status == 200 else {}
            models = {target: words_of(said) for target, said in answer["models"].items()}
            routes = frozenset(str(path) for path in answer.get("routes") or ())
            self._gateways[name] = _Gateway(self._clock(), models, routes)
            self._silent.discard(name)
        except (aiohttp.ClientError, OSError, LookupError, ValueError, TypeError, AttributeError) as error:
            self._silent.add(name)
            logger.debug("gateway %s does not say how it stands: %s", name, error)


async def _usage(name: str, url: str, session: aiohttp.ClientSession) -> Tally | None:
    try:
        async with session.get(f"{url}/usage") as response:
            answer = orjson.loads(await response.read()) if response.status == 200 else {}
        models = {}
        for target, (requests, prompt, generated) in answer["models"].items():
            models[str(target)] = Usage(max(0, int(requests)), max(0, int(prompt)), max(0, int(generated)))
        return Tally(int(answer["epoch"]), models)
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        logger.debug("gateway %s does not say what was used: %s", name, error)
        return None


def _any_ready(who: Mapping[str, _Pod]) -> bool:
    return any(pod.ready for pod in who.values())


def _pods(slices: list[dict[str, Any]]) -> dict[str, _Pod]:
    """All gateway pods by name, also those that are not ready or about to end: their streams may be open."""
    found: dict[str, _Pod] = {}
    for part in slices:
        for endpoint in part.get("endpoints") or ():
            address, conditions = endpoint["addresses"][0], endpoint.get("conditions", {})
            host = f"[{address}]" if ":" in address else address
            name = endpoint.get("targetRef", {}).get("name", address)
            ready, terminating = bool(conditions.get("ready")), bool(conditions.get("terminating"))
            pod = _Pod(f"http://{host}:{SIGNALS_PORT}", ready, terminating)
            if name not in found or pod.ready:  # two slices may name one that moves between them
                found[name] = pod
    return dict(sorted(found.items()))


def _report(name: str, gateway: _Gateway, target: str, now: float) -> GatewayReport:
    said = gateway.models.get(target)
    if said is None:
        return GatewayReport(name, now - gateway.at, routes=target in gateway.routes)
    return GatewayReport(name, now - gateway.at, routes=True, **said)


def words_of(said: Mapping[str, Any]) -> dict[str, Any]:
    """Words of a GatewayReport, from what `GET /signals` says of a model.

    Raises:
        LookupError, ValueError, TypeError, AttributeError: it is not what a gateway says.
    """
    return {
        "in_flight": int(said["inFlight"]),
        "held": int(said["held"]),
        "idle": max(0.0, float(said["idleSeconds"])),
        "cold_starts": tuple(_start(*map(start.__getitem__, STAGES)) for start in said.get("coldStarts", ())),
        "counts": _counts(said["objective"]) if said.get("objective") else None,
    }


@lru_cache(maxsize=4096)
def _start(*stages: float) -> ColdStart:
    """The last ones of each model are said again at each look."""
    return ColdStart(*(max(0.0, float(seconds)) for seconds in stages))


def _counts(said: Mapping[str, Any]) -> Counts:
    return Counts(
        epoch=str(said["epoch"]),
        bound=float(said["firstTokenSeconds"]),
        ended=int(said["ended"]),
        counted=int(said["counted"]),
        good=int(said["good"]),
        whole=int(said["whole"]),
        prompt_tokens=int(said["promptTokens"]),
        generated_tokens=int(said["generatedTokens"]),
        decode_seconds=float(said["decodeSeconds"]),
        decode_tokens=int(said["decodeTokens"]),
        prompts=_bins(said["prompts"]),
        inter_token=_judged(said["interToken"]),
        end_to_end=_judged(said["endToEnd"]),
        written=_bins(said["written"]),
    )


def _bins(said: Mapping[str, Any]) -> tuple[int, ...]:
    counts = [0] * BINS
    for number, count in said.items():
        counts[int(number)] = int(count)
    return tuple(counts)


def _judged(said: Mapping[str, Any]) -> Judged:
    return Judged(float(said["seconds"]), int(said["counted"]), int(said["good"]))
