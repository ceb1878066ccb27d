"""The kill switch with the real Envoy: what runs is cut, what comes is refused, what is held is let go."""

import asyncio
import http.client
import json
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from tests.fakes.activation import FakePorts
from tests.fakes.apiserver import FakeApiServer
from tests.fakes.clock import until
from tests.fakes.upstream import Engine
from tests.gateway.running import Answer, Gateway
from tests.gateway.states import CRM, MASTER, SUPPORT, model, state_of

from smallmodel_operator.boundary.seal import Boundary
from smallmodel_operator.cluster.client import Client
from smallmodel_operator.gateway.activate.activator import Activator
from smallmodel_operator.gateway.admin import Admin
from smallmodel_operator.gateway.agent import Agent
from smallmodel_operator.gateway.boundary import cut
from smallmodel_operator.gateway.boundary.part import enforce
from smallmodel_operator.gateway.config import version_of
from smallmodel_operator.gateway.settings import GatewaySettings
from smallmodel_operator.gateway.state import State

CHAT = "/v1/chat/completions"
BOT, NOTES = (SUPPORT, "bot"), (CRM, "notes")
LONG = {"stream": True, "fake_chunks": ["data: 1\n\n"] * 6000, "fake_pause": 0.01}
"""A minute: no test waits for its end."""
WITHIN = 30.0
"""Seconds in which a stop is noticed: it takes less than one of an idle machine's; what it cuts would last a minute."""


@dataclass
class Call:
    """One request in a thread; `received` is when its last byte came."""

    port: int
    who: tuple[str, str]
    fields: dict[str, Any]
    status: int = 0
    body: bytes = b""
    broken: str = ""
    began: asyncio.Event = field(default_factory=asyncio.Event)
    ended_at: float = 0.0

    def start(self) -> "asyncio.Task[None]":
        self._loop = asyncio.get_running_loop()
        return asyncio.create_task(asyncio.to_thread(self._run))

    def _run(self) -> None:
        key, name = self.who
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=40)
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        try:
            connection.request("POST", CHAT, json.dumps({"model": name, **self.fields}), headers)
            answer = connection.getresponse()
            self.status = answer.status
            while chunk := answer.read1(65536):
                self.body += chunk
                self._loop.call_soon_threadsafe(self.began.set)
        except (http.client.HTTPException, OSError) as error:
            self.broken = repr(error)
        finally:
            self.ended_at = time.monotonic()
            connection.close()


class Stopping:
    """An Envoy and the part that puts boundaries into force; `put` is the agent's writer."""

    def __init__(self, gateway: Gateway, state: State, agent: Agent) -> None:
        self.gateway, self.state, self.agent = gateway, state, agent

    async def put(self, boundary: Boundary) -> None:
        """Write the configuration of a boundary and wait until it is in force; fails after WITHIN seconds."""
        models = {t: replace(m, stopped=boundary.stops(m.namespace)) for t, m in self.state.models.items()}
        await asyncio.to_thread(self.gateway.apply, replace(self.state, models=models))
        self.agent.writer.versions = versions(self.gateway)
        self.agent.writer.boundary = boundary
        await until(lambda: self.agent.in_force is not None and self.agent.in_force.boundary == boundary, WITHIN)

    async def running(self, who: tuple[str, str], **fields: Any) -> tuple[Call, "asyncio.Task[None]"]:
        """A stream that has begun, or a request that its engine has not answered."""
        call, before = Call(self.gateway.port, who, fields), self._active(who)
        task = call.start()
        if fields.get("stream"):
            await asyncio.wait_for(call.began.wait(), WITHIN)
        else:
            await until(lambda: self._active(who) > before, 10)
        return call, task

    def _active(self, who: tuple[str, str]) -> int:
        text = self.gateway.admin(f"/stats?filter=^cluster.*{who[1]}.upstream_rq_active$")
        return int(text.rpartition(":")[2])

    async def ask(self, who: tuple[str, str]) -> Answer:
        return await asyncio.to_thread(self.gateway.post, CHAT, {"model": who[1]}, who[0])


def versions(gateway: Gateway) -> dict[str, str]:
    """Of the files as they lie there."""
    names = ("xds/cds.json", "xds/rds.json", "xds/lds.json")
    return {name: version_of(json.loads((gateway.site.folder / name).read_text())) for name in names}


@asynccontextmanager
async def enforcing(gateway: Gateway, state: State, client: Client) -> AsyncIterator[Stopping]:
    async with Admin(Path(gateway.site.admin_socket)) as admin:
        settings = GatewaySettings(gateway_dir=gateway.site.folder, identity="gateway-0")
        writer = SimpleNamespace(versions=versions(gateway), boundary=None)
        world = SimpleNamespace(boundaries=SimpleNamespace(asked="", now=None))
        stub = SimpleNamespace(
            settings=settings, admin=admin, writer=writer, held=dict, client=client, troubles=[], in_force=None,
            forces=deque(), erased={}, world=world,
        )  # fmt: skip
        agent = cast(Agent, stub)
        task = asyncio.create_task(enforce(agent))
        try:
            yield Stopping(gateway, state, agent)
            assert not task.done(), task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
def state(bot: Engine, notes: Engine) -> State:
    ports = {"support/bot": bot.port, "crm/notes": notes.port}
    return state_of((model("support/bot"), model("crm/notes")), ports)


@pytest.fixture
async def stopping(
    tmp_path_factory: pytest.TempPathFactory, state: State, api: FakeApiServer
) -> AsyncIterator[Stopping]:
    with Gateway(tmp_path_factory.mktemp("s"), state, concurrency=2) as gateway:
        async with enforcing(gateway, state, api.client()) as made:
            yield made


EVERYTHING = Boundary("u", 2, stopped=True, reason="ticket 4711")
AGAIN = Boundary("u", 3)


async def test_all_is_cut_and_refused_and_comes_back(stopping: Stopping) -> None:
    stream, streaming = await stopping.running(BOT, **LONG)
    other, others = await stopping.running(NOTES, **LONG)
    silent, waiting = await stopping.running(BOT, fake_delay=60)
    began = time.monotonic()
    await stopping.put(EVERYTHING)
    print(f"in force {time.monotonic() - began:.2f} s after the write")
    await asyncio.wait_for(asyncio.gather(streaming, others, waiting), WITHIN)
    took = max(call.ended_at for call in (stream, other, silent)) - began
    print(f"all callers had heard of it {took:.2f} s after the write")
    assert took < WITHIN
    assert stream.broken, "a stream that is cut must not look like one that ended"
    assert other.broken
    assert (stream.status, silent.status) == (200, 503)
    assert json.loads(silent.body)["error"]["code"] == "inference_cut"
    assert stopping.agent.in_force is not None
    assert (stopping.agent.in_force.cut, stopping.agent.in_force.others) == (3, 0)
    for who in (BOT, NOTES):
        refused = await stopping.ask(who)
        assert (refused.status, refused.error["code"], refused.headers["x-slm-cause"]) == (
            503,
            "inference_stopped",
            "stopped",
        )
        assert "An administrator has stopped inference" in refused.error["message"]
        assert "4711" not in refused.error["message"], "why is not the callers' to know"
        assert "retry-after" not in refused.headers, "asking again does not help"
    said = [trouble() for trouble in stopping.agent.troubles]
    assert any("inference is stopped" in text for text in said)
    assert not any("4711" in text for text in said), "/readyz asks nobody who he is"
    listed = await asyncio.to_thread(stopping.gateway.get, "/v1/models", SUPPORT)
    assert [m["id"] for m in listed.json["data"]] == ["bot"]
    await stopping.put(AGAIN)
    assert [(await stopping.ask(who)).status for who in (BOT, NOTES)] == [200, 200]
    after, task = await stopping.running(BOT, **LONG)
    await asyncio.sleep(1.5)
    assert not after.broken, "the cut is over"
    await stopping.put(EVERYTHING)
    await asyncio.wait_for(task, WITHIN)


async def test_a_namespace_is_stopped_and_who_ran_beside_it_asks_again(stopping: Stopping) -> None:
    """Envoy cuts all of a gateway or none: nobody is cut where nothing of the namespace runs."""
    stream, streaming = await stopping.running(BOT, **LONG)
    await stopping.put(Boundary("u", 2, namespaces={"crm": ""}))
    assert (await stopping.ask(NOTES)).error["code"] == "inference_stopped"
    assert (await stopping.ask(BOT)).status == 200
    assert not stream.broken
    assert not streaming.done()
    await stopping.put(Boundary("u", 3, namespaces={"crm": "", "support": "x"}))
    await asyncio.wait_for(streaming, WITHIN)
    assert stream.broken
    await stopping.put(AGAIN)
    both = [await stopping.running(who, **LONG) for who in (BOT, NOTES)]
    await stopping.put(Boundary("u", 4, namespaces={"crm": ""}))
    await asyncio.wait_for(asyncio.gather(*(task for _, task in both)), WITHIN)
    assert stopping.agent.in_force is not None
    assert (stopping.agent.in_force.cut, stopping.agent.in_force.others) == (1, 1)
    assert [(await stopping.ask(who)).status for who in (BOT, NOTES)] == [200, 503]


async def test_a_body_that_was_on_its_way_is_cut_too(stopping: Stopping) -> None:
    """It goes by the routes of when it began, and reaches its model after the stop."""
    body = json.dumps({"model": "bot", **LONG}).encode()
    head = f"POST {CHAT} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {SUPPORT}\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", stopping.gateway.port)
    writer.write(head.encode() + body[:10])
    await writer.drain()
    await stopping.put(Boundary("u", 2, namespaces={"support": ""}))
    writer.write(body[10:])
    answered = await reader.read(12)
    assert answered == b"HTTP/1.1 200", "nothing ran that had to be cut, so this one was not"
    async with asyncio.timeout(WITHIN):
        while await reader.read(65536):
            pass
    writer.close()
    await until(lambda: len(stopping.agent.forces) > 1, WITHIN)
    cuts = [(force.boundary.generation, force.cut) for force in stopping.agent.forces]
    assert cuts[:2] == [(2, 0), (2, 1)], "what is recorded: nothing was cut when it came into force, but later"


async def test_what_is_held_is_let_go_with_the_answer_and_nothing_wakes(
    tmp_path_factory: pytest.TempPathFactory, bot: Engine, api: FakeApiServer
) -> None:
    asleep = state_of((model("support/bot", may_sleep=True),), {})
    ports = FakePorts(time.monotonic, dict(asleep.models), deaf=True)
    with Gateway(tmp_path_factory.mktemp("s"), asleep) as gateway:
        activator = Activator(ports, Path(gateway.site.agent_socket), 0, lambda: MASTER, host="127.0.0.1")
        task = asyncio.create_task(activator.run())
        await activator.listening.wait()
        async with enforcing(gateway, asleep, api.client()) as stopping:
            stopping.agent.held = activator.held
            held = [Call(gateway.port, BOT, {}) for _ in range(3)]
            waiting = [call.start() for call in held]
            await until(lambda: activator.queue.count("support/bot") == 3, WITHIN)
            ports.models = {t: replace(m, stopped=True) for t, m in asleep.models.items()}
            await stopping.put(EVERYTHING)
            await asyncio.wait_for(asyncio.gather(*waiting), WITHIN)
            assert {json.loads(call.body)["error"]["code"] for call in held} == {"inference_stopped"}
            asked = ports.asked
            assert (await stopping.ask(BOT)).error["code"] == "inference_stopped"
            assert ports.asked == asked, "a refused request wakes nothing"
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_restarted_envoy_and_agent_go_on_refusing(
    tmp_path_factory: pytest.TempPathFactory, state: State, api: FakeApiServer
) -> None:
    """From the files, without anybody to ask; and an agent that died while it cut does not leave Envoy cutting."""
    folder = tmp_path_factory.mktemp("s")
    stopped = replace(state, models={t: replace(m, stopped=True) for t, m in state.models.items()})
    with Gateway(folder, stopped) as gateway:
        cut.write(Path(gateway.site.cut_file), cut.CUT)
    with Gateway(folder, stopped) as gateway:
        async with enforcing(gateway, state, api.client()) as stopping:
            await until(lambda: Path(gateway.site.cut_file).read_text() == "0", WITHIN)
            end = time.monotonic() + WITHIN
            # Envoy looks at the file a moment later; a request whose body is not there yet is too slow for a cut.
            cuts, said = ("inference_cut", "request_timeout"), "inference_cut"
            while said in cuts and time.monotonic() < end:
                said = (await stopping.ask(BOT)).error["code"]
            assert said == "inference_stopped"
            await stopping.put(AGAIN)
            stream, task = await stopping.running(BOT, **LONG)
            await asyncio.sleep(1.0)
            assert not stream.broken
            await stopping.put(EVERYTHING)
            await asyncio.wait_for(task, WITHIN)


async def test_the_status_says_what_is_in_force(
    tmp_path_factory: pytest.TempPathFactory, state: State, api: FakeApiServer
) -> None:
    api.put({"apiVersion": "smallmodel.dev/v1alpha1", "kind": "ClusterBoundary", "metadata": {"name": "cluster"}})
    with Gateway(tmp_path_factory.mktemp("s"), state) as gateway:
        async with enforcing(gateway, state, api.client()) as stopping:
            await stopping.put(Boundary("u", 7, namespaces={"support": "drill"}))

            def said() -> Any:
                found = api.get("ClusterBoundary", "cluster", "")
                return ((found or {}).get("status") or {}).get("gateways")

            await until(lambda: bool(said()), 5)
            (entry,) = said()
            assert {k: entry[k] for k in ("name", "observedGeneration", "inference", "stoppedNamespaces")} == {
                "name": "gateway-0",
                "observedGeneration": 7,
                "inference": "Allowed",
                "stoppedNamespaces": ["support"],
            }
            assert api.writes[-1].query["fieldManager"] == "gateway-0"
