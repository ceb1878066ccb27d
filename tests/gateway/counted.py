"""A real Envoy whose requests are counted: the agent's own parts around it, and registers on a fake API server."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from tests.fakes.apiserver import FakeApiServer
from tests.gateway.running import Answer, Gateway
from tests.gateway.states import SUPPORT

from smallmodel_operator.budget.counter import Counter
from smallmodel_operator.budget.limit import Limit
from smallmodel_operator.budget.places import REGISTERS
from smallmodel_operator.budget.purse import Part
from smallmodel_operator.gateway.admin import Admin
from smallmodel_operator.gateway.agent import Agent
from smallmodel_operator.gateway.budget.asking import Asking
from smallmodel_operator.gateway.budget.part import Budgets
from smallmodel_operator.gateway.decide.policies import Policies
from smallmodel_operator.gateway.decide.server import serve
from smallmodel_operator.gateway.decide.service import Deciding, Record, Withhold
from smallmodel_operator.gateway.settings import GatewaySettings

CHAT = "/v1/chat/completions"
SYSTEM = "smallmodel-system"


class Counted:
    """A gateway, and who counts its requests; that can be ended and begun again. `decides`: makes who decides; None:
    one of routes that lead nowhere outside."""

    def __init__(
        self, gateway: Gateway, data: Path, decides: Callable[[Record, Withhold], Deciding] | None = None
    ) -> None:
        self.gateway, self.data, self._decides = gateway, data, decides
        self.records: list[Mapping[str, Any]] = []
        self._stack = AsyncExitStack()
        self.budgets: Budgets
        self.api: FakeApiServer

    def begin(self) -> None:
        self.gateway._on_loop(self._begin)

    def end(self) -> None:
        self.gateway._on_loop(self._stack.aclose)

    async def _begin(self) -> None:
        folder = self.gateway.site.folder
        self.api = await self._stack.enter_async_context(FakeApiServer())
        for name in REGISTERS:
            self.api.put({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": SYSTEM}})
        agent = SimpleNamespace(
            settings=GatewaySettings(gateway_dir=folder, gateway_data_dir=self.data, identity="gateway-0"),
            admin=await self._stack.enter_async_context(Admin(folder / "admin.sock")),
            client=self.api.client(),
            writer=SimpleNamespace(state=self.gateway.state),
            troubles=[],
        )
        self.budgets = Budgets(cast(Agent, agent))
        await self.serve()
        counting = asyncio.create_task(self.budgets.run())
        self._stack.push_async_callback(_ended, counting)

    async def serve(self) -> None:
        async def record(body: Mapping[str, Any], content: bytes) -> None:
            self.records.append(body)

        asking = Asking(lambda: self.gateway.state, lambda: self.budgets.counting)
        if self._decides is None:
            policies = Policies(lambda: self.gateway.state, lambda _: None)
            deciding = Deciding(policies.route, lambda _: (), record, withhold=asking)
        else:
            deciding = self._decides(record, asking)
        self._deciding = await self._stack.enter_async_context(AsyncExitStack())
        await self._deciding.enter_async_context(serve(deciding, Path(self.gateway.site.decide_socket)))
        self._deciding.callback(deciding.close)

    def nobody_decides(self) -> None:
        self.gateway._on_loop(self._deciding.aclose)

    def ask(self, name: str, key: str = SUPPORT, **more: Any) -> Answer:
        return self.gateway.post(CHAT, {"model": name, "messages": [], **more}, key)

    def part(self, limit: Limit, route: str, caller: str = "key:support/bot") -> Part:
        """What this gateway holds of a budget, once nothing is under way any more."""

        def look() -> tuple[int, dict[Counter, Part]]:
            counting = self.budgets.counting
            assert counting is not None
            return len(counting.purse.reservations), {c: p for c, p in counting.purse if c.route == f"support/{route}"}

        self.gateway._eventually(lambda: (self.gateway.log(), self.gateway._on_loop(look)[0])[1] == 0, "all is settled")
        of_callers = {c.caller: p for c, p in self.gateway._on_loop(look)[1].items() if limit.counts(c)}
        return of_callers.get("" if limit.per == "Route" else caller, Part())


async def _ended(task: "asyncio.Task[None]") -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
