"""What one look at the ledger costs beside it: a thousand models' pods, tokens, energy and budgets.

The operator's own ledger and budgets; in place of the cluster are nodes and pods in memory, and what gateways and
Prometheus would say of them.
"""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from smallmodel_operator.cluster.children import ModelKey
from smallmodel_operator.cluster.energy_meters import PodIdentity
from smallmodel_operator.control.budget import Subject
from smallmodel_operator.control.budgets import Budgets
from smallmodel_operator.core.budget import CostObjective
from smallmodel_operator.core.energy import Meter, Meters
from smallmodel_operator.core.traffic import Tally, Usage
from smallmodel_operator.cost.ledger import microseconds
from smallmodel_operator.runtime import cost_metrics
from smallmodel_operator.runtime.spending import Seen, Spending

BEGIN: Final = datetime(2026, 11, 10, tzinfo=UTC)
PODS: Final = 2
"""Of a model."""
PODS_A_NODE: Final = 50
CREATED: Final = "2026-01-01T00:00:00Z"
PROFILE: Final = {
    "metadata": {"name": "bench"},
    "spec": {
        "price": {"purchase": "12000", "amortizationYears": 4, "currency": "EUR"},
        "power": {"watts": 400, "pricePerKilowattHour": "0.20"},
    },
}


class Memory:
    """In place of the ledger's ConfigMap, of the cluster, and of Prometheus."""

    def __init__(self, names: list[ModelKey]) -> None:
        self.now, self.passed, self.problem = BEGIN, 0.0, ""
        self.kept = ""
        count = len(names) * PODS // PODS_A_NODE
        room = {"cpu": str(PODS_A_NODE), "memory": "1Ti"}
        status = {"allocatable": room, "capacity": room}
        self._nodes = [
            {"metadata": {"name": f"node-{n}", "creationTimestamp": CREATED}, "status": status} for n in range(count)
        ]
        placed = [name for name in names for _ in range(PODS)]
        self.pods = [(name, _pod(n, name, f"node-{n % count}")) for n, name in enumerate(placed)]
        self._names = names

    async def load(self) -> str | None:
        return None

    async def save(self, text: str) -> bool:
        self.kept = text
        return True

    async def prices(self) -> None:
        return None

    async def nodes(self) -> list[dict[str, Any]]:
        return self._nodes

    async def others(self) -> list[dict[str, Any]]:
        return []

    async def profiles(self) -> list[dict[str, Any]]:
        return [PROFILE]

    async def any_model(self, _: tuple[str | None, ...]) -> bool:
        return True

    async def usage(self) -> Mapping[str, Tally]:
        n = int(self.passed)
        models = {f"{space}/{name}": Usage(n, 100 * n, 30 * n) for space, name in self._names}
        return {gateway: Tally(microseconds(BEGIN), models) for gateway in ("g-0", "g-1")}

    async def read(self, pods: Collection[PodIdentity]) -> Meters:
        """Half of them by Kepler, half by processor time."""
        amount = int(self.passed * 1e6)
        of = (Meter({"package": amount, "dram": amount}), Meter({}, {"engine": amount}))
        return {pod.uid: of[n % 2] for n, pod in enumerate(pods)}


class Books:
    """The ledger and the budgets of all models."""

    def __init__(self, names: list[ModelKey]) -> None:
        self.memory = memory = Memory(names)
        self.poked = 0
        seen = Seen(lambda: [PROFILE], lambda: memory.pods, lambda: True)
        self.spending = Spending(
            memory, memory, seen, memory.usage, now=lambda: memory.now, clock=lambda: memory.passed
        )
        self.spending.meters = memory
        budgets = Budgets(self.spending.spent, self._poke, lambda: memory.now)
        self.spending.counted, budgets.observe = budgets.look, cost_metrics.budget
        for number, name in enumerate(names):
            cost = CostObjective("EUR", Decimal("0.80"), Decimal(5 + number % 40), "Cap", prefer_cost=True)
            budgets.follow(name, Subject(f"uid-{number}", cost, 1, 8, BEGIN - timedelta(days=90)))

    async def look(self, seconds: float) -> None:
        """One, so many seconds after the last."""
        self.memory.now += timedelta(seconds=seconds)
        self.memory.passed += seconds
        await self.spending.step()

    def _poke(self, _: ModelKey) -> None:
        self.poked += 1


def _pod(number: int, name: ModelKey, node: str) -> dict[str, Any]:
    requests = {"cpu": "1", "memory": "1Gi"}
    meta = {"name": f"{name[1]}-{number}", "namespace": name[0], "uid": f"uid-{number}", "creationTimestamp": CREATED}
    return {
        "metadata": meta,
        "spec": {"nodeName": node, "containers": [{"resources": {"requests": requests}}]},
        "status": {"phase": "Running"},
    }
