"""Budgets as a part of an agent: when it begins, what keeps it from it, and what it takes for dead."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from tests.fakes.apiserver import FakeApiServer
from tests.fakes.clock import until
from tests.gateway.states import state_of

from smallmodel_operator.budget.counter import Unit
from smallmodel_operator.budget.journal import Reserved
from smallmodel_operator.budget.limit import Limit, Per
from smallmodel_operator.budget.places import REGISTERS
from smallmodel_operator.budget.purse import Reservation
from smallmodel_operator.budget.window import Period, Window
from smallmodel_operator.gateway.admin import Unreachable
from smallmodel_operator.gateway.agent import Agent
from smallmodel_operator.gateway.budget import part
from smallmodel_operator.gateway.budget.journal import NAME, Journal
from smallmodel_operator.gateway.budget.part import FOLDER, Budgets
from smallmodel_operator.gateway.routed import Lead, Route
from smallmodel_operator.gateway.settings import GatewaySettings
from smallmodel_operator.gateway.state import Access, State

TODAY = Limit(Per.ROUTE, Period.DAY, Unit.REQUESTS, 5)
COUNTED = TODAY.counter("support/desk", "", Window("2100-01-01").begin)


class Envoy:
    """When it was started; None: it does not answer."""

    def __init__(self) -> None:
        self.at: float | None = None
        self.asked: list[bool] = []

    async def began(self, *, exactly: bool = False) -> float:
        self.asked.append(exactly)
        if self.at is None:
            raise Unreachable("no answer")
        return self.at if exactly else self.at + 0.9


class Pod:
    """An agent's surroundings."""

    def __init__(self, folder: Path, api: FakeApiServer) -> None:
        self.envoy, self.writer = Envoy(), SimpleNamespace(state=State())
        for name in REGISTERS:
            api.put({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "system"}})
        settings = GatewaySettings(gateway_data_dir=folder, namespace="system", identity="gateway-0")
        self.troubles: list[Any] = []
        agent = SimpleNamespace(
            settings=settings, client=api.client(), admin=self.envoy, writer=self.writer, troubles=self.troubles
        )
        self.budgets = Budgets(cast(Agent, agent))

    def limit(self) -> None:
        lead = Lead("small", "support/bot", 1)
        route = Route("support", "desk", "", Access(frozenset()), (lead,), budgets=(TODAY,))
        self.writer.state = state_of((), {}, routes={route.path: route})

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.budgets.run())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


@pytest.fixture
def pod(tmp_path: Path, api: FakeApiServer, monkeypatch: pytest.MonkeyPatch) -> Pod:
    for name in ("WANTED_SECONDS", "RETRY_SECONDS", "DEAD_SECONDS"):
        monkeypatch.setattr(part, name, 0.01)
    return Pod(tmp_path, api)


async def test_where_no_route_has_budgets_nothing_is_read_or_written(
    pod: Pod, tmp_path: Path, api: FakeApiServer
) -> None:
    async with pod.running():
        await asyncio.sleep(0.1)
        assert (pod.budgets.counting, os.listdir(tmp_path), api.sent, pod.envoy.asked) == (None, [], [], [])
        pod.limit()
        await until(lambda: pod.budgets.counting)
        assert not api.sent, "nor while nobody asks"
    assert pod.budgets.counting is None
    assert (tmp_path / FOLDER / NAME).exists()


async def test_what_was_held_before_is_found_though_no_route_has_budgets_any_more(pod: Pod, tmp_path: Path) -> None:
    journal = Journal(tmp_path / FOLDER)
    journal.open()
    journal.close()
    async with pod.running():
        await until(lambda: pod.budgets.counting)


async def test_a_folder_that_another_process_holds_is_waited_for(pod: Pod, tmp_path: Path) -> None:
    other = Journal(tmp_path / FOLDER)
    other.open()
    pod.limit()
    async with pod.running():
        await until(lambda: pod.budgets.problem)
        assert "another process holds budgets.lock" in pod.troubles[0]()
        other.close()
        await until(lambda: pod.budgets.counting)
        assert pod.troubles[0]() == ""


async def test_what_is_older_than_envoy_is_written_off_and_what_is_not_waits_for_its_line(pod: Pod) -> None:
    pod.limit()
    async with pod.running():
        await until(lambda: pod.budgets.counting)
        counting = pod.budgets.counting
        assert counting is not None
        await asyncio.sleep(0.05)
        assert not pod.envoy.asked, "nobody is asked while nothing is held"
        for name, at in (("old", 99.0), ("young", 100.5)):
            await counting._journal.keep(Reserved(name, Reservation(at, {COUNTED: 1})))
        await until(lambda: pod.envoy.asked)
        assert set(counting.purse.reservations) == {"old", "young"}, "an Envoy that says nothing may be there"
        pod.envoy.at = 100.0
        await until(lambda: set(counting.purse.reservations) == {"young"})
        assert counting.purse.parts[COUNTED].used == 1
        pod.envoy.asked.clear()
        await until(lambda: True in pod.envoy.asked)
        assert set(counting.purse.reservations) == {"young"}, "it came within the second that Envoy began in"
