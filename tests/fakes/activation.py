"""A model that sleeps, as the activator sees it, and an event loop whose time passes at once."""

import asyncio
import selectors
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from smallmodel_operator.gateway.activate.coldstart import Answer
from smallmodel_operator.gateway.scale import NotWoken
from smallmodel_operator.gateway.state import Access, Endpoint, Model


def model(name: str = "bot", namespace: str = "support", **values: Any) -> Model:
    return Model(namespace, name, f"uid-{name}", Access(frozenset()), may_sleep=True, **values)


@dataclass
class FakePorts:
    """A cluster of models. A woken one gets an address after `schedule` seconds, takes connections after `container`
    more and is loaded after `load` more; Envoy hears of it `accept` seconds after it is told."""

    clock: Callable[[], float]
    models: dict[str, Model] = field(default_factory=dict)
    schedule: float = 0.3
    container: float = 0.2
    load: float = 1.0
    accept: float = 0.002
    complete: bool = True
    failing: int = 0
    """So many wakes the API server does not take."""
    deaf: bool = False
    """Wakes are taken and nothing starts."""
    operator: bool = False
    """There is one that asks how models stand."""
    others: tuple[str, ...] = ()
    wakes: list[str] = field(default_factory=list)
    asked: int = 0
    published: dict[str, tuple[Endpoint, ...]] = field(default_factory=dict)
    told: dict[str, float] = field(default_factory=dict)
    woken: dict[str, float] = field(default_factory=dict)

    def synced(self) -> bool:
        return self.complete

    def model(self, target: str) -> Model | None:
        return self.models.get(target)

    def endpoint(self, target: str) -> Endpoint:
        return Endpoint(f"10.0.0.{1 + sorted(self.models).index(target)}", 8080, ready=True)

    def usable(self, target: str) -> tuple[Endpoint, ...]:
        return self.published.get(target, ())

    def not_ready(self, target: str) -> tuple[Endpoint, ...]:
        since = self.woken.get(target)
        if since is None or self.deaf or target in self.published or self.clock() < since + self.schedule:
            return ()
        return (self.endpoint(target),)

    def peers(self) -> tuple[str, ...]:
        return self.others

    def operator_asks(self) -> bool:
        return self.operator

    async def wake(self, target: str) -> bool:
        self.asked += 1
        await asyncio.sleep(0.005)
        if self.failing:
            self.failing -= 1
            raise NotWoken("the API server is away")
        if target in self.woken:
            return False
        self.wakes.append(target)
        self.woken[target] = self.clock()
        return True

    async def publish(self, target: str, endpoints: Sequence[Endpoint]) -> bool:
        self.published[target] = tuple(endpoints)
        return await self.settled(target)

    async def settled(self, target: str) -> bool:
        await asyncio.sleep(self.accept)
        return True

    async def probe(self, endpoint: Endpoint) -> Answer:
        await asyncio.sleep(0.001)
        target = sorted(self.models)[int(endpoint.address.rsplit(".", 1)[1]) - 1]
        if target not in self.woken:
            return Answer.NOTHING
        age = self.clock() - self.woken[target] - self.schedule
        if age < self.container:
            return Answer.NOTHING
        return Answer.LOADING if age < self.container + self.load else Answer.READY

    def sleep(self, target: str) -> None:
        """Back to zero."""
        self.published.pop(target, None)
        self.woken.pop(target, None)


class _Rush(selectors.DefaultSelector):
    """Waits for nothing: where a loop would wait, its time moves on."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        found = super().select(0)
        if not found and timeout is None:
            raise RuntimeError("the loop would wait for ever")
        if not found and timeout:
            self.now += timeout
        return found


class RushLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock is fake: an hour passes in a moment. No real I/O in it."""

    def __init__(self) -> None:
        self._rush = _Rush()
        super().__init__(self._rush)

    def time(self) -> float:
        return self._rush.now
