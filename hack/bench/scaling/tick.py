"""What one look at a thousand models in mode Objective costs: processor time, and how many of them are told news.

All of the operator's own work is in it: the gateways' answers and the pods are text that is read.
"""

import argparse
import asyncio
import json
import resource
import time
from collections.abc import Sequence
from dataclasses import dataclass
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
from smallmodel_operator.runtime import frugal, metrics

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
LIMIT_SECONDS: Final = 1.0
"""What one look at a thousand models may cost."""
FULL, ROOMY = 1.2, 8.0
"""Replicas of each model that nodes have room for: about 60 % of those wanted, and all."""


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
        places = round((FULL if full else ROOMY) * len(models))
        count = max(1, places // PODS_A_NODE)
        self.places = count * (places // count)
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

    @property
    def wanted(self) -> int:
        """Replicas that controllers ask for."""
        said = (self.scaler.said(name) for name in self.names)
        return sum(s.replicas for s in said if s)

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


@dataclass(frozen=True, slots=True)
class Case:
    """What is looked at. `full`: nodes do not hold what is wanted; `budgets`: each model has one, and the ledger's look
    is in the same tick; `quiet`: nobody asks any more, and what runs has settled."""

    full: bool = True
    budgets: bool = True
    quiet: bool = False


CASES: Final = (Case(full=False, budgets=False), Case(budgets=False), Case(), Case(quiet=True))


async def _measure(models: int, case: Case, warm: int = WARM, ticks: int = TICKS) -> dict[str, Any]:
    fleet = Fleet(range(models), case.full)
    books = Books(fleet.names) if case.budgets else None
    took = []
    told = moved = kept = 0
    for number in range(warm + ticks):
        measured_now = number >= warm
        if case.quiet and number == warm // 2:
            for gateways in (fleet.gateways, *((books.gateways,) if books else ())):
                gateways.until = gateways.now
        seconds = await fleet.look(SECONDS if measured_now else WARM_SECONDS)
        before = books.memory.saved if books else 0
        if books is not None:
            seconds += await books.look(LEDGER_SECONDS)
        news = {*fleet.told, *(books.take() if books else ())}
        changed = fleet.settle()
        if measured_now:
            took.append(seconds)
            told, moved = told + len(news), moved + changed
            kept += books.memory.saved - before if books else 0
    took.sort()
    median = took[len(took) // 2]
    return {
        "models": models,
        "pool": "full" if case.full else "roomy",
        "budgets": case.budgets,
        "quiet": case.quiet,
        "cpu_seconds_median": round(median, 3),
        "cpu_seconds_worst": round(took[-1], 3),
        "limit_seconds": LIMIT_SECONDS,
        "met": median < LIMIT_SECONDS,
        "room_percent": round(min(100.0, 100 * fleet.places / fleet.wanted), 1),
        "told_news_per_tick": round(told / ticks, 2),
        "replicas_changed_per_tick": round(moved / ticks, 2),
        "checkpoints": kept,
    }


def yardstick() -> float:
    """Processor seconds of a million steps of plain Python: how fast this machine is at the moment."""
    began, found = time.thread_time(), 0
    for number in range(1_000_000):
        found += number * number % 7
    return round(time.thread_time() - began, 3)


def resident() -> float:
    """MiB this process had at most, what stands in place of the cluster included."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)


def rows(models: int = MODELS, cases: Sequence[Case] = CASES) -> list[dict[str, Any]]:
    """One row with room for all; full ones, where nodes hold a part of what is wanted, without and with a budget for
    each model and the ledger's look in the same tick, which is in every sixth one in truth; and that one at rest."""
    frugal.settle()
    return [asyncio.run(_measure(models, case)) for case in cases]


def show(found: list[dict[str, Any]]) -> None:
    print("\nOne look at all models")
    for row in found:
        print(" | ".join(f"{k} {v}" for k, v in row.items()))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m hack.bench.scaling.tick", description=__doc__)
    parser.add_argument("--models", type=int, default=MODELS)
    args = parser.parse_args()
    imported, before = resident(), yardstick()
    found = rows(args.models)
    show(found)
    result = {"tick": found, "yardstick_seconds": [before, yardstick()]}
    print(json.dumps(result | {"imported_rss_mib": imported, "peak_rss_mib": resident()}), flush=True)


if __name__ == "__main__":
    main()
