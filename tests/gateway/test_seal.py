"""The proof of the seal with the real Envoy: where it leads and what lies there counts, not what was meant."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from tests.fakes.apiserver import FakeApiServer
from tests.fakes.clock import until
from tests.fakes.upstream import Engine
from tests.gateway.running import Gateway
from tests.gateway.states import model, state_of
from tests.gateway.test_stop import Stopping, enforcing

from smallmodel_operator.boundary.seal import Boundary
from smallmodel_operator.gateway.config import Writer
from smallmodel_operator.gateway.files import Files
from smallmodel_operator.gateway.state import Endpoint, State
from smallmodel_operator.gateway.world import World

BOT = "support/bot"
SEALED = Boundary("u", 2)


class Sealing:
    """A gateway with the real writer, and what its entry in the status says."""

    def __init__(self, stopping: Stopping, api: FakeApiServer) -> None:
        self.gateway, self.stopping, self.api = stopping.gateway, stopping, api
        world = cast(World, SimpleNamespace(state=lambda: self.gateway.state))
        writer = Writer(Files(self.gateway.site.folder), self.gateway.discovery, self.gateway.renderer, lambda: world)
        writer.boundary = SEALED
        stopping.agent.writer = writer
        self.boundaries = cast(Any, stopping.agent.world.boundaries)
        self.boundaries.now = SEALED

    async def proof(self, word: str) -> dict[str, Any]:
        """The answer to a question."""
        self.boundaries.asked = word
        await until(lambda: self._said().get("asked") == word, 10)
        return self._said()

    def _said(self) -> dict[str, Any]:
        found = self.api.get("ClusterBoundary", "cluster", "") or {}
        entries = (found.get("status") or {}).get("gateways") or [{}]
        return dict(entries[0].get("proof") or {})


@pytest.fixture
def state(bot: Engine) -> State:
    return state_of((model(BOT), model("support/asleep", may_sleep=True)), {BOT: bot.port}, peers=("127.0.0.1",))


@pytest.fixture
async def sealing(tmp_path_factory: pytest.TempPathFactory, state: State, api: FakeApiServer) -> AsyncIterator[Sealing]:
    api.put({"apiVersion": "smallmodel.dev/v1alpha1", "kind": "ClusterBoundary", "metadata": {"name": "cluster"}})
    with Gateway(tmp_path_factory.mktemp("s"), state) as gateway:
        async with enforcing(gateway, state, api.client()) as made:
            yield Sealing(made, api)


async def test_where_nothing_leads_outside_it_is_proven(sealing: Sealing) -> None:
    first = await sealing.proof("first")
    assert (first["leadsOutside"], first["observedGeneration"], len(first["configuration"])) == ([], 2, 64)
    second = await sealing.proof("second")
    assert second["configuration"] == first["configuration"]
    assert second["time"] >= first["time"]


async def test_an_address_that_envoy_has_from_elsewhere_is_found(sealing: Sealing, bot: Engine) -> None:
    """As if somebody else had spoken on the socket for endpoints; the agent itself knows of nothing."""
    strange = replace(sealing.gateway.state, endpoints={BOT: (Endpoint("127.0.0.9", bot.port, ready=True),)})
    _, value = sealing.gateway.renderer.endpoints(strange, BOT)
    sealing.gateway._on_loop(sealing.gateway.discovery.put, {BOT: value})
    assert sealing.gateway._on_loop(sealing.gateway.discovery.settled, BOT, 5.0)
    found = await sealing.proof("word")
    assert found["leadsOutside"] == [f"cluster {BOT}: 127.0.0.9:{bot.port} is none of its pods, and no gateway"]


async def test_a_file_that_was_changed_is_found(sealing: Sealing) -> None:
    path = Path(sealing.gateway.site.folder) / "xds" / "rds.json"
    value = json.loads(path.read_text())
    away = {"match": {"prefix": "/"}, "redirect": {"host_redirect": "example.com"}}
    value["resources"][0]["virtual_hosts"].append({"name": "out", "domains": ["out"], "routes": [away]})
    path.write_text(json.dumps(value))
    found = await sealing.proof("word")
    assert found["leadsOutside"][0] == "xds/rds.json: somebody else has changed it"
    assert len(found["leadsOutside"]) > 1, "and where it leads"
