"""What one look at a thousand models in mode Objective costs: processor time, and how many of them are told news."""

import asyncio
import time
from collections.abc import Collection
from typing import Any, Final

from hack.bench.scaling.ledger import Books
from smallmodel_operator.api.names import LABEL_ROLE, ROLE_SERVER
from smallmodel_operator.autoscaling import measured
from smallmodel_operator.autoscaling.prompts import BINS, bin_of
from smallmodel_operator.autoscaling.room import Priority, Room
from smallmodel_operator.cluster.children import ModelKey
from smallmodel_operator.control.objective import Subject
from smallmodel_operator.control.pool import Site, Tenant
from smallmodel_operator.control.scaler import Scaler
from smallmodel_operator.core.scaling import Objective
from smallmodel_operator.core.traffic import Counts, GatewayReport, Traffic

MODELS: Final = 1000
WARM, TICKS, SECONDS = 60, 24, 5.0
"""Looks that are not measured, looks that are, and the time between two of them."""
SHAPES: Final = 10
"""Kinds of hardware: models on the same one have the same profile."""
PODS_A_NODE: Final = 50
GATEWAYS: Final = 2
LEDGER_SECONDS: Final = 30.0
"""Between two looks at the ledger; each tenth keeps it."""


def _profile(number: int) -> dict[str, Any]:
    tokens = [{"concurrency": c, "tokensPerSecond": str(round((20 + number) * c**0.6, 1))} for c in (1, 2, 4)]
    return {
        "prefillTokensPerSecond": str(300 + 20 * number),
        "timeToFirstTokenMilliseconds": 260,
        "decodeTokensPerSecond": tokens,
    }


class Fleet:
    """Models with a steady request rate each; what gateways count of them grows with the clock."""

    def __init__(self, models: int, full: bool) -> None:
        self.now, self.poked, self.full = 1000.0, 0, full
        self.names: list[ModelKey] = [("bench", f"bench-{n:04}") for n in range(models)]
        self.rates = {name: 0.02 + n % 23 / 10 for n, name in enumerate(self.names)}
        self.scaler = Scaler(self._traffic, self._poke, lambda: self.now)
        self.scaler.site = self._site
        self.running: dict[ModelKey, int] = {}
        for number, name in enumerate(self.names):
            self.objective = Objective(1.5, 95, 1, 8)
            self._pass(number, name, 2)

    def _pass(self, number: int, name: ModelKey, replicas: int) -> None:
        profile = measured.profile(_profile(number % SHAPES), 4, 20.0)
        subject = Subject(f"uid-{number}", self.objective, profile, 0.26, 4, replicas, replicas, 20.0)
        tenant = Tenant(f"uid-{number}", Priority(number % 3), Room(1.0, 2.0**30), {}, (), replicas, replicas, 1, 1)
        self.running[name] = replicas
        self.scaler.follow(name, subject, tenant)

    def settle(self) -> None:
        """Passes write what was said, as far as the pool has room for it."""
        for number, name in enumerate(self.names):
            said, granted = self.scaler.said(name), self.scaler.granted(name)
            wanted = said.replicas if said else self.running[name]
            replicas = min(wanted, granted.replicas) if granted else wanted
            if replicas != self.running[name]:
                self._pass(number, name, replicas)

    async def look(self) -> float:
        """Processor seconds of one."""
        self.now += SECONDS
        began = time.process_time()
        await self.scaler.look()
        return time.process_time() - began

    def _poke(self, _: ModelKey) -> None:
        self.poked += 1

    async def _traffic(self, models: Collection[ModelKey]) -> dict[ModelKey, Traffic]:
        return {m: Traffic(tuple(self._report(m, g) for g in range(GATEWAYS))) for m in models}

    def _report(self, model: ModelKey, gateway: int) -> GatewayReport:
        n = int(self.rates[model] / GATEWAYS * self.now)
        prompts = [0] * BINS
        prompts[bin_of(100)] = n
        bound = self.objective.seconds
        counts = Counts("a", bound, n, n, n, n, 100 * n, 30 * n, 1.45 * n, 29 * n, tuple(prompts))
        return GatewayReport(f"g{gateway}", 0.1, True, int(self.rates[model] > 1), counts=counts)

    async def _site(self) -> Site | None:
        if not self.full:
            return None
        count = 2 * len(self.names) // PODS_A_NODE
        room = {"cpu": str(PODS_A_NODE), "memory": "1Ti"}
        nodes = [{"metadata": {"name": f"node-{n}"}, "status": {"allocatable": room}} for n in range(count)]
        models = [name for name, have in self.running.items() for _ in range(have)]
        return Site(nodes, [], [(name, _pod(f"node-{n % count}")) for n, name in enumerate(models)])


def _pod(node: str) -> dict[str, Any]:
    containers = [{"resources": {"requests": {"cpu": "1", "memory": "1Gi"}}}]
    labels = {LABEL_ROLE: ROLE_SERVER}
    spec = {"nodeName": node, "containers": containers}
    return {"metadata": {"labels": labels}, "spec": spec, "status": {"phase": "Running"}}


async def _measure(models: int, full: bool, budgets: bool) -> dict[str, Any]:
    fleet = Fleet(models, full)
    books = Books(fleet.names) if budgets else None
    took = []
    for number in range(WARM + TICKS):
        if number == WARM:
            fleet.poked = 0
            if books is not None:
                books.poked = 0
        seconds = await fleet.look()
        if books is not None:
            began = time.process_time()
            await books.look(LEDGER_SECONDS)
            seconds += time.process_time() - began
        if number < WARM:
            fleet.settle()
        else:
            took.append(seconds)
    took.sort()
    poked = fleet.poked + (books.poked if books else 0)
    return {
        "models": models,
        "pool": "full" if full else "roomy",
        "budgets": budgets,
        "cpu_seconds_median": round(took[len(took) // 2], 3),
        "cpu_seconds_worst": round(took[-1], 3),
        "told_news_per_tick": round(poked / TICKS, 2),
    }


def rows(models: int = MODELS) -> list[dict[str, Any]]:
    """One row with room for all; one in which a third of what is wanted has none; and that one with a budget for each
    model, and the ledger's look in the same tick, which is in every sixth one in truth."""
    return [asyncio.run(_measure(models, *of)) for of in ((False, False), (True, False), (True, True))]


def show(found: list[dict[str, Any]]) -> None:
    print("\nOne look at all models")
    for row in found:
        print(" | ".join(f"{k} {v}" for k, v in row.items()))
