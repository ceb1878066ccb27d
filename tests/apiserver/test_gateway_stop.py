"""The kill switch on a real API server: `slm boundary`, its object, an agent and its Envoy."""

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from hack.cluster.controlplane import ControlPlane
from kubernetes.aio.client import Configuration
from tests.apiserver.conftest import apply, connect, eventually
from tests.apiserver.objects import model
from tests.apiserver.rights import as_operator
from tests.apiserver.test_gateway_agent import keys_secret, rights
from tests.apiserver.test_gateway_envoy import Renderer, agent, envoy
from tests.gateway.running import here

from smallmodel_operator.cli.boundary import Waiting, change, sealing, show, unsealing
from smallmodel_operator.cluster.client import Client
from smallmodel_operator.cluster.fence import Fence
from smallmodel_operator.core.keys import TABLE, Identity, dump, hashed
from smallmodel_operator.gateway.admin import Admin, Unreachable
from smallmodel_operator.gateway.agent import Agent
from smallmodel_operator.gateway.boundary.part import enforce
from smallmodel_operator.gateway.config import prepare
from smallmodel_operator.gateway.files import Files
from smallmodel_operator.gateway.settings import GatewaySettings

KEY = "slm-key"
NAME = "smallmodel-gateway-0"


class Place:
    """One gateway in a namespace of its own; only that namespace is ever stopped, others share the API server."""

    def __init__(self, plane: ControlPlane, namespace: str, folder: Path) -> None:
        self.plane, self.namespace, self.folder = plane, namespace, folder
        self.settings = GatewaySettings(
            gateway_dir=folder / "run",
            namespace=namespace,
            identity=NAME,
            gateway_http_port=0,
            gateway_drain_seconds=0,
        )
        site = here(folder / "run", data=folder)
        self.renderer = Renderer(site)
        self.waiting = Waiting(namespace=namespace)

    @asynccontextmanager
    async def agent(self, client: Client | None = None) -> AsyncIterator[Agent]:
        if client is None:
            kubeconfig = as_operator(self.plane, self.namespace, self.folder / "kubeconfig", "smallmodel-gateway")
            client = await connect(kubeconfig, Fence.open())
        async with agent(self.settings, client, self.renderer, enforce) as running:
            yield running

    async def port(self) -> int:
        async with Admin(self.settings.admin_socket) as admin:
            found = json.loads(await admin._get("/listeners?format=json"))
        return int(found["listener_statuses"][0]["local_address"]["socket_address"]["port_value"])

    async def cause(self) -> str:
        """Why a request is refused; `waits`: it is not, and its model has no pod."""
        try:
            url = f"http://127.0.0.1:{await self.port()}/{self.namespace}/v1/chat/completions"
            headers = {"Authorization": f"Bearer {KEY}"}
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=1)) as session,
                session.post(url, json={"model": "bot"}, headers=headers) as answer,
            ):
                return answer.headers.get("x-slm-cause", "")
        except TimeoutError:
            return "waits"
        except (aiohttp.ClientError, Unreachable, LookupError) as error:
            return f"Envoy is only starting: {error!r}"


@pytest.fixture
async def place(
    plane: ControlPlane, namespace: str, tmp_path: Path, api: Client, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Place]:
    items = {"apiVersion": "v1", "kind": "List", "items": rights(namespace)}
    await asyncio.to_thread(plane.kubectl, "apply", "--server-side", "-f-", stdin=json.dumps(items))
    meta = {"name": "gw", "namespace": namespace, "labels": {"kubernetes.io/service-name": "smallmodel-gateway-pods"}}
    endpoint = {"addresses": ["10.9.0.1"], "targetRef": {"kind": "Pod", "name": NAME}}
    slices = {"kind": "EndpointSlice", "apiVersion": "discovery.k8s.io/v1", "addressType": "IPv4", "metadata": meta}
    await apply(api, keys(namespace), model(namespace), {**slices, "endpoints": [endpoint]})
    made = Place(plane, namespace, tmp_path)
    prepare(Files(made.settings.gateway_dir), made.renderer)

    async def connected(fence: object = None) -> Client:
        return await connect(plane.kubeconfig, Fence.open())

    monkeypatch.setattr(Client, "connect", connected)
    yield made
    assert await change(unsealing(namespace, reason=""), "", Waiting(0, namespace)) in (0, 1)


def keys(namespace: str) -> dict[str, Any]:
    secret = keys_secret(namespace)
    table = dump({hashed(KEY): Identity(namespace, f"key:{namespace}/bot")})
    secret["data"] = {**secret["data"], TABLE: base64.b64encode(table.encode()).decode()}
    return secret


async def test_stop_undo_and_restart(place: Place, namespace: str, capsys: pytest.CaptureFixture[str]) -> None:
    async with envoy(place.settings.gateway_dir):
        async with place.agent() as running:

            async def known() -> None:
                assert running.in_force is not None
                assert await place.cause() == "waits"

            await eventually(known)
            began = time.monotonic()
            assert await change(sealing(namespace, stop=True, reason="drill"), "", place.waiting) == 0
            assert await place.cause() == "stopped"
            print(f"the command and a refused request took {time.monotonic() - began:.2f} s")
            assert f"{NAME}: in force" in capsys.readouterr().out
            assert "inference is stopped" in (await running.readiness()).text
            assert await show("table", namespace) == 0
            assert "in namespace " + namespace + " (drill)" in capsys.readouterr().out

        # Started again while the API server is away: from its files.
        async with place.agent(Client(Configuration(host="http://127.0.0.1:1"), Fence.open())) as running:
            await eventually(lambda: _in_force(running, namespace))
            assert await place.cause() == "stopped"

    # An Envoy that starts again refuses from the first request on, whoever tells it.
    async with envoy(place.settings.gateway_dir), place.agent() as running:

        async def stopped() -> None:
            assert await place.cause() == "stopped"

        await eventually(stopped)
        assert await change(unsealing(namespace, reason=""), "", place.waiting) == 0
        assert await place.cause() == "waits"


async def _in_force(running: Agent, namespace: str) -> None:
    assert running.in_force is not None
    assert running.in_force.boundary.stops(namespace)


async def test_without_gateways_that_obey_the_command_fails_and_names_them(
    place: Place, namespace: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await change(sealing(namespace, stop=True, reason=""), "", Waiting(0.5, namespace)) == 1
    assert NAME in capsys.readouterr().err
    assert await show("table", namespace) == 1
