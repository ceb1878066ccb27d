"""What one look at a thousand models in mode Objective costs: processor time, and how many of them are told news.

All of the operator's own work is in it: the gateways' answers and the pods are text that is read.
"""

import asyncio
import time
from collections.abc import Sequence
from typing import Any, Final

from hack.bench.scaling.gateways import Gateways
from hack.bench.scaling.ledger import Books
from hack.bench.scaling.site import PODS_A_NODE, Nodes, Placed
from smallmodel_operator.autoscaling import measured
from smallmodel_operator.autoscaling.room import Priority, Room
from smallmodel_operator.cluster.children import ModelKey
from smallmodel_operator.control.objective import Subject
from smallmodel_operator.control.places import Places
from smallmodel_operator.control.pool import Tenant
from smallmodel_operator.control.scaler import Scaler
from smallmodel_operator.core.scaling import Objective
from smallmodel_operator.runtime import metrics

MODELS: Final = 1000
WARM, TICKS, SECONDS = 60, 24, 5.0
"""Looks that are not measured, looks that are, and the time between two of those."""
WARM_SECONDS: Final = 30.0
"""Between two that are not: half an hour, after which lengths of requests are known and nothing is learnt anew."""
JITTER_SECONDS: Final = 0.5
"""What gateways count is late by up to so much: an answer's line in the log, and the question under way."""
SHAPES: Final = 10
"""Kinds of hardware: models on the same one have the same profile."""
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
    """Models with a steady request rate each, and their passes: what is said to a model stands a moment later.

    `models` are numbers of models, from which all that is theirs follows.
    """

    def __init__(self, models: Sequence[int], full: bool) -> None:
        self.now = 1000.0
        self._numbers: dict[ModelKey, int] = {("bench", f"bench-{n:04}"): n for n in models}
        self.names = list(self._numbers)
        self.objective = Objective(1.5, 95, 1, 8)
        rates = {name: 0.02 + n % 23 / 10 for name, n in self._numbers.items()}
        self.gateways = Gateways(rates, self.objective.seconds, JITTER_SECONDS)
        self.told: dict[ModelKey, None] = {}
        self.scaler = Scaler(self.gateways.signals().traffics, self._poke, lambda: self.now)
        self.scaler.observe = metrics.scaled
        places = (2 if full else 8) * len(models)
        count = max(1, places // PODS_A_NODE)
        nodes: Any = Nodes(count, places // count)
        self._placed = Placed(count)
        self.scaler.site = Places(nodes, self._placed.children, lambda: self.now).look
        self.running: dict[ModelKey, int] = {}
        for name in self.names:
            self._runs(name, 2)

    def _runs(self, name: ModelKey, replicas: int) -> None:
        number = self._numbers[name]
        profile = measured.profile(_profile(number % SHAPES), 4, 20.0)
        subject = Subject(f"uid-{number}", self.objective, profile, 0.26, 4, replicas, replicas, 20.0)
        tenant = Tenant(f"uid-{number}", Priority(number % 3), Room(1.0, 2.0**30), {}, (), replicas, replicas, 1, 1)
        self.running[name] = replicas
        self._placed.set(name, replicas)
        self.scaler.follow(name, subject, tenant)

    def settle(self) -> int:
        """Passes of those that were told news write what was said, as far as the pool has room for it; how many
        replicas changed."""
        moved = 0
        told, self.told = self.told, {}
        for name in told:
            said, granted = self.scaler.said(name), self.scaler.granted(name)
            wanted = said.replicas if said else self.running[name]
            replicas = min(wanted, granted.replicas) if granted else wanted
            if replicas != self.running[name]:
                moved += 1
                self._runs(name, replicas)
        return moved

    async def look(self, seconds: float) -> float:
        """One, so many seconds after the last; the processor seconds it took."""
        self.now += seconds
        self.gateways.move(self.now)
        began = time.process_time()
        await self.scaler.look()
        return time.process_time() - began

    def _poke(self, model: ModelKey) -> None:
        self.told[model] = None


async def _measure(models: int, full: bool, budgets: bool) -> dict[str, Any]:
    fleet = Fleet(range(models), full)
    books = Books(fleet.names) if budgets else None
    took = []
    told = moved = 0
    for number in range(WARM + TICKS):
        measured_now = number >= WARM
        seconds = await fleet.look(SECONDS if measured_now else WARM_SECONDS)
        if books is not None:
            seconds += await books.look(LEDGER_SECONDS)
        news = {*fleet.told, *(books.take() if books else ())}
        changed = fleet.settle()
        if measured_now:
            took.append(seconds)
            told, moved = told + len(news), moved + changed
    took.sort()
    return {
        "models": models,
        "pool": "full" if full else "roomy",
        "budgets": budgets,
        "cpu_seconds_median": round(took[len(took) // 2], 3),
        "cpu_seconds_worst": round(took[-1], 3),
        "told_news_per_tick": round(told / TICKS, 2),
        "replicas_changed_per_tick": round(moved / TICKS, 2),
    }


def rows(models: int = MODELS) -> list[dict[str, Any]]:
    """One row with room for all; one in which a third of what is wanted has none; and that one with a budget for each
    model, and the ledger's look in the same tick, which is in every sixth one in truth."""
    return [asyncio.run(_measure(models, *of)) for of in ((False, False), (True, False), (True, True))]


def show(found: list[dict[str, Any]]) -> None:
    print("\nOne look at all models")
    for row in found:
        print(" | ".join(f"{k} {v}" for k, v in row.items()))
