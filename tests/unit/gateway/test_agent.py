"""The agent's process: what it says of itself, with an Envoy that says what a test wants and no API server."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from kubernetes.aio.client import Configuration
from tests.fakes.renderer import PlainRenderer

from smallmodel_operator.cluster.client import Client
from smallmodel_operator.cluster.fence import Fence
from smallmodel_operator.core.keys import Identity
from smallmodel_operator.core.traffic import ColdStart
from smallmodel_operator.gateway import agent as module
from smallmodel_operator.gateway.agent import Agent
from smallmodel_operator.gateway.files import CDS, Files, dump
from smallmodel_operator.gateway.http import OPERATOR_SECONDS, Questions
from smallmodel_operator.gateway.known import KNOWN, remember
from smallmodel_operator.gateway.settings import GatewaySettings
from smallmodel_operator.gateway.signals import Held
from smallmodel_operator.gateway.state import State
from smallmodel_operator.gateway.view import Keys

BOT = "support/bot"


class EnvoyAdmin:
    """The admin interface of an Envoy that is not there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ready = "LIVE"
        self.stats: dict[str, Any] = {
            f"cluster.{BOT}.upstream_rq_active": 3,
            f"cluster.{BOT}.upstream_rq_total": 40,
            "cluster_manager.cds.version_text": "1",
        }

    async def __aenter__(self) -> "EnvoyAdmin":
        app = web.Application()
        app.router.add_get("/ready", self._ready)
        app.router.add_get("/stats", self._stats)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.UnixSite(self._runner, str(self.folder / "admin.sock")).start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def _ready(self, _: web.Request) -> web.Response:
        return web.Response(text=f"{self.ready}\n", status=200 if self.ready == "LIVE" else 503)

    async def _stats(self, _: web.Request) -> web.Response:
        return web.json_response({"stats": [{"name": k, "value": v} for k, v in self.stats.items()]})


def on_disk(folder: Path) -> None:
    """What an agent left that knew one model."""
    files, renderer = Files(folder), PlainRenderer()
    name, value = renderer.endpoints(State(), BOT)
    files.write(name, dump(value))
    files.write(CDS, dump({"resources": [], "version_info": "1"}))
    files.write(KNOWN, dump(remember(Keys({"a" * 64: Identity("support", "key:support/bot")}, b"m" * 32), None)))


@asynccontextmanager
async def running(
    folder: Path, *parts: module.Part, drain: float = 0
) -> AsyncIterator[tuple[Agent, "asyncio.Task[int]"]]:
    client = Client(Configuration(host="http://127.0.0.1:1"), Fence.open())
    settings = GatewaySettings(
        gateway_dir=folder, gateway_http_port=0, identity="gateway-0", gateway_drain_seconds=drain
    )
    agent, stop = Agent(settings, client, PlainRenderer()), asyncio.Event()
    task = asyncio.create_task(agent.run(stop, parts))
    async with asyncio.timeout(5):
        while not agent.http_port:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    try:
        agent.stop = stop  # type: ignore[attr-defined]
        yield agent, task
    finally:
        stop.set()
        await asyncio.wait({task}, timeout=10)
        await client.close()
        assert task.done()


async def get(agent: Agent, path: str) -> tuple[int, str]:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{agent.http_port}{path}") as response,
    ):
        return response.status, await response.text()


async def until(check: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not check():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_a_gateway_without_any_configuration_is_not_ready(tmp_path: Path) -> None:
    async with EnvoyAdmin(tmp_path), running(tmp_path) as (agent, _):
        await until(lambda: bool(agent.world.models.problem))
        status, text = await get(agent, "/readyz")
        assert status == 503
        assert "no configuration has been written yet" in text
        assert "smallmodels cannot be followed" in text
        assert (await get(agent, "/healthz"))[0] == 200, "waiting is no reason to be restarted"


async def test_an_old_configuration_serves_and_what_is_wrong_is_said(tmp_path: Path) -> None:
    on_disk(tmp_path)
    async with EnvoyAdmin(tmp_path) as envoy, running(tmp_path) as (agent, _):
        await until(lambda: bool(agent.world.models.problem))
        status, text = await get(agent, "/readyz")
        assert status == 200, text
        assert "smallmodels cannot be followed" in text
        assert "ServiceAccount tokens" in text
        envoy.ready = "DRAINING"
        status, text = await get(agent, "/readyz")
        assert status == 503
        assert "Envoy does not take requests yet" in text


async def test_signals_are_envoys_numbers(tmp_path: Path) -> None:
    on_disk(tmp_path)
    async with EnvoyAdmin(tmp_path), running(tmp_path) as (agent, _):
        agent.held = lambda: {BOT: Held(1, 2, (ColdStart(0.1, 0.2, 0.2),))}
        await get(agent, "/metrics")
        assert not agent.operator_asks(), "whoever collects metrics decides nothing"
        status, text = await get(agent, "/signals")
        assert status == 200
        assert agent.operator_asks()
        said = json.loads(text)
        assert (said["gateway"], said["synced"]) == ("gateway-0", False)
        bot = said["models"][BOT]
        assert {k: bot[k] for k in ("inFlight", "held", "requests", "wakes", "coldStarts")} == {
            "inFlight": 2,
            "held": 1,
            "requests": 40,
            "wakes": 2,
            "coldStarts": [{"schedule": 0.1, "container": 0.2, "load": 0.2}],
        }
        assert bot["idleSeconds"] < 2
        text = (await get(agent, "/metrics"))[1]
        assert 'smallmodel_gateway_requests_in_flight{model="bot",namespace="support"} 2.0' in text


def test_an_operator_that_has_not_asked_for_long_is_taken_for_gone() -> None:
    now = 100.0
    questions = Questions(lambda: now)
    assert not questions.lately()
    questions.came()
    now += OPERATOR_SECONDS
    assert questions.lately()
    now += 0.1
    assert not questions.lately()


async def test_an_envoy_that_cannot_be_asked_is_not_called_idle(tmp_path: Path) -> None:
    on_disk(tmp_path)
    async with running(tmp_path) as (agent, _):
        status, text = await get(agent, "/signals")
        assert status == 503
        assert "Envoy does not answer" in text


async def test_a_refused_file_is_said_until_it_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TICK_SECONDS", "TAKE_SECONDS"):
        monkeypatch.setattr(module, name, 0.05)
    on_disk(tmp_path)
    async with EnvoyAdmin(tmp_path) as envoy, running(tmp_path) as (agent, _):
        envoy.stats["cluster_manager.cds.version_text"] = "0"
        await until(lambda: bool(agent._refused))
        assert "Envoy refuses the newest xds/cds.json" in (await get(agent, "/readyz"))[1]
        assert 'smallmodel_gateway_config_refused{file="cds"} 1.0' in (await get(agent, "/metrics"))[1]
        envoy.stats["cluster_manager.cds.version_text"] = "1"
        await until(lambda: not agent._refused)
        assert "refuses" not in (await get(agent, "/readyz"))[1]
        assert 'smallmodel_gateway_config_refused{file="cds"} 0.0' in (await get(agent, "/metrics"))[1]


async def test_metrics_have_the_projects_names(tmp_path: Path) -> None:
    async with running(tmp_path) as (agent, _):
        status, text = await get(agent, "/metrics")
        assert status == 200
        assert "smallmodel_gateway_synced 0.0" in text
        assert 'smallmodel_gateway_watch_age_seconds{kind="endpointslices"}' in text


async def test_a_part_that_ends_ends_the_process(tmp_path: Path) -> None:
    async def ends(_: Agent) -> None:
        raise RuntimeError("broken on purpose")

    async with running(tmp_path, ends) as (_, task):
        assert await asyncio.wait_for(task, 10) == 1


async def test_an_agent_outlives_its_envoy(tmp_path: Path) -> None:
    """Held requests are Envoy's; who would wake their models and let them go?"""
    on_disk(tmp_path)
    async with running(tmp_path, drain=20) as (agent, task):
        async with EnvoyAdmin(tmp_path) as envoy:
            assert (await get(agent, "/readyz"))[0] == 200
            agent.stop.set()  # type: ignore[attr-defined]
            await asyncio.sleep(0.3)
            assert (await get(agent, "/readyz"))[0] == 503, "no new connections come here"
            envoy.ready = "DRAINING"
            await asyncio.sleep(0.3)
            assert not task.done()
        assert await asyncio.wait_for(task, 3) == 0


async def test_an_agent_that_is_asked_to_stop_ends_well(tmp_path: Path) -> None:
    async with running(tmp_path) as (_, task):
        pass
    assert task.result() == 0
    assert not (tmp_path / "xds.sock").exists()
