"""What one look at the ledger costs beside it: a thousand models' pods, tokens, energy and budgets.

The operator's own ledger and budgets; in place of the cluster are nodes and pods in memory, and what gateways and
Prometheus would say of them.
"""

import time
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from hack.bench.scaling.gateways import Gateways
from hack.bench.scaling.site import PODS_A_NODE, Nodes, children
from smallmodel_operator.cluster.children import ModelKey
from smallmodel_operator.cluster.energy_meters import PodIdentity
from smallmodel_operator.control.budget import Subject
from smallmodel_operator.control.budgets import Budgets
from smallmodel_operator.core.budget import CostObjective
from smallmodel_operator.core.energy import Meter, Meters
from smallmodel_operator.runtime import cost_metrics
from smallmodel_operator.runtime.spending import Seen, Spending

BEGIN: Final = datetime(2026, 11, 10, tzinfo=UTC)
PODS: Final = 2
"""Of a model."""
RATE: Final = 2.0
"""Requests a second of each model."""
PROFILE: Final = {
    "metadata": {"name": "bench"},
    "spec": {
        "price": {"purchase": "12000", "amortizationYears": 4, "currency": "EUR"},
        "power": {"watts": 400, "pricePerKilowattHour": "0.20"},
    },
}


class Memory(Nodes):
    """In place of the ledger's ConfigMap, of the cluster, and of Prometheus."""

    def __init__(self, count: int) -> None:
        super().__init__(count)
        self.now, self.passed, self.problem = BEGIN, 0.0, ""
        self.kept, self.saved = "", 0

    async def load(self) -> str | None:
        return None

    async def save(self, text: str) -> bool:
        self.kept, self.saved = text, self.saved + 1
        return True

    async def prices(self) -> None:
        return None

    async def profiles(self) -> list[dict[str, Any]]:
        return [PROFILE]

    async def any_model(self, _: tuple[str | None, ...]) -> bool:
        return True

    async def read(self, pods: Collection[PodIdentity]) -> Meters:
        """Half of them by Kepler, half by processor time."""
        amount = int(self.passed * 1e6)
        of = (Meter({"package": amount, "dram": amount}), Meter({}, {"engine": amount}))
        return {pod.uid: of[n % 2] for n, pod in enumerate(pods)}


class Books:
    """The ledger and the budgets of all models."""

    def __init__(self, names: list[ModelKey]) -> None:
        count = max(1, len(names) * PODS // PODS_A_NODE)
        self.memory = memory = Memory(count)
        self.gateways = Gateways(dict.fromkeys(names, RATE), 1.5)
        self._told: set[ModelKey] = set()
        pods = children(dict.fromkeys(names, PODS), count)
        seen = Seen(lambda: [PROFILE], pods.all_pods, lambda: True)
        usage = self.gateways.signals().usage
        self.spending = Spending(memory, memory, seen, usage, now=lambda: memory.now, clock=lambda: memory.passed)
        self.spending.meters = memory
        budgets = Budgets(self.spending.spent, self._poke, lambda: memory.now)
        self.spending.counted, budgets.observe = budgets.look, cost_metrics.budget
        for number, name in enumerate(names):
            cost = CostObjective("EUR", Decimal("0.80"), Decimal(5 + number % 40), "Cap", prefer_cost=True)
            budgets.follow(name, Subject(f"uid-{number}", cost, 1, 8, BEGIN - timedelta(days=90)))

    async def look(self, seconds: float) -> float:
        """One, so many seconds after the last; the processor seconds it took."""
        self.memory.now += timedelta(seconds=seconds)
        self.memory.passed += seconds
        self.gateways.move(self.memory.passed)
        began = time.process_time()
        await self.spending.step()
        return time.process_time() - began

    def take(self) -> set[ModelKey]:
        """Those that were told news since this was asked last."""
        told, self._told = self._told, set()
        return told

    def _poke(self, model: ModelKey) -> None:
        self._told.add(model)
