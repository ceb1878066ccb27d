"""The activator in the agent's process: it knows the gateways' key as soon as the agent does."""

import asyncio
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
from tests.fakes.activation import FakePorts, model

from smallmodel_operator.core.keys import peer_key
from smallmodel_operator.gateway.activate import part
from smallmodel_operator.gateway.activate.activator import Activator
from smallmodel_operator.gateway.view import Keys


async def test_the_agents_keys_are_the_activators(tmp_path: Path, monkeypatch: Any) -> None:
    made: list[Activator] = []

    def activator(*args: Any) -> Activator:
        made.append(Activator(*args, host="127.0.0.1", probe=agent.probe))
        return made[0]

    monkeypatch.setattr(part, "Activator", activator)
    agent: Any = FakePorts(asyncio.get_running_loop().time, {"support/bot": model()})
    agent.settings = SimpleNamespace(agent_socket=tmp_path / "agent.sock", gateway_activator_port=0)
    agent.world = SimpleNamespace(keys=None)
    running = asyncio.create_task(part.activate(agent))
    await asyncio.sleep(0)
    await asyncio.wait_for(made[0].listening.wait(), 5)
    known = {"Authorization": f"Bearer {peer_key(b'm' * 32)}"}
    async with aiohttp.ClientSession(f"http://127.0.0.1:{made[0].bound}", headers=known) as session:
        for keys, status in ((None, 401), (Keys({}, b"x" * 32), 401), (Keys({}, b"m" * 32), 200)):
            agent.world.keys = keys
            async with session.get("/held") as answer:
                assert answer.status == status, keys
    assert agent.held() == {}
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
