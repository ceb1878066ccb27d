"""Agent and real Envoy together on a real API server: what is written there is what Envoy does."""

import asyncio
import copy
import json
import signal
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from hack.cluster.controlplane import ControlPlane
from hack.envoy.binary import program
from tests.apiserver import direct
from tests.apiserver.conftest import apply, connect, eventually
from tests.apiserver.objects import model
from tests.apiserver.rights import as_operator
from tests.apiserver.test_gateway_agent import DOWN, ENDING, UP, A, B, endpoint_slice, keys_secret, put_slice, rights
from tests.gateway.running import here

from smallmodel_operator.cluster.client import Client
from smallmodel_operator.cluster.fence import Fence
from smallmodel_operator.gateway.admin import Admin, Unreachable
from smallmodel_operator.gateway.agent import Agent, Part
from smallmodel_operator.gateway.config import prepare
from smallmodel_operator.gateway.files import Files
from smallmodel_operator.gateway.settings import GatewaySettings
from smallmodel_operator.gateway.state import State
from smallmodel_operator.gateway.xds import EnvoyRenderer


class Renderer(EnvoyRenderer):
    """The product's, without health checks: the addresses of these tests are nobody's. `spoilt` breaks a file."""

    spoilt = ""

    def everything(self, state: State) -> dict[str, Any]:
        files = copy.deepcopy(dict(super().everything(state)))
        for cluster in files["xds/cds.json"]["resources"]:
            cluster.pop("health_checks", None)  # who decides has none
        if self.spoilt:
            files[self.spoilt]["resources"].append({"@type": "type.googleapis.com/google.protobuf.Empty"})
        return files

    def leaks(self, state: State, files: Mapping[str, Any], target: str = "") -> list[str]:
        """What the agent itself would not write is written where Envoy is to refuse it."""
        return [] if self.spoilt else super().leaks(state, files, target)


class Pod:
    """One gateway pod's agent and Envoy."""

    def __init__(self, agent: Agent, renderer: Renderer, admin: Admin) -> None:
        self.agent = agent
        self.renderer = renderer
        self.admin = admin

    async def get(self, path: str) -> tuple[int, str]:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{self.agent.http_port}{path}") as response,
        ):
            return response.status, await response.text()

    async def sends_to(self, target: str, *addresses: str) -> None:
        async def same() -> None:
            try:
                assert await self.admin.addresses(target) == set(addresses)
            except Unreachable as error:  # Envoy is only starting
                raise AssertionError(str(error)) from None

        await eventually(same, every=0.002)


@asynccontextmanager
async def envoy(folder: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    with (folder / "envoy.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            program(), "-c", str(folder / "bootstrap.json"), "--disable-hot-restart", "-l", "warning",
            "--concurrency", "1", stdout=log, stderr=log,
        )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)
        await process.wait()


@asynccontextmanager
async def agent(settings: GatewaySettings, client: Client, renderer: Renderer, *parts: Part) -> AsyncIterator[Agent]:
    made, stop = Agent(settings, client, renderer), asyncio.Event()
    task = asyncio.create_task(made.run(stop, parts))
    try:
        async with asyncio.timeout(10):
            while not made.http_port:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        yield made
    finally:
        stop.set()
        code = await asyncio.wait_for(task, 60)
        await client.close()
        assert code == 0


@pytest.fixture
async def pod(plane: ControlPlane, namespace: str, tmp_path: Path) -> AsyncIterator[Pod]:
    await asyncio.to_thread(direct.put, plane, rights(namespace))
    kubeconfig = as_operator(plane, namespace, tmp_path / "gateway.kubeconfig", "smallmodel-gateway")
    folder = tmp_path / "run"
    settings = GatewaySettings(gateway_dir=folder, namespace=namespace, gateway_http_port=0, gateway_drain_seconds=0)
    renderer = Renderer(here(folder, data=tmp_path))
    prepare(Files(folder), renderer)
    async with (
        agent(settings, await connect(kubeconfig, Fence.open()), renderer) as running,
        envoy(folder),
        Admin(settings.admin_socket) as admin,
    ):
        yield Pod(running, renderer, admin)


async def test_envoy_leaves_a_pod_within_a_tenth_of_a_second(api: Client, namespace: str, pod: Pod) -> None:
    target = f"{namespace}/bot"
    await apply(api, keys_secret(namespace, a="key:x/y"), model(namespace))
    await put_slice(api, endpoint_slice(namespace, a=UP, b=DOWN))
    await pod.sends_to(target, f"{A}:8080")
    took = []
    for conditions, left in ((DOWN, False), (UP, True), (ENDING, False)):
        await put_slice(api, endpoint_slice(namespace, a=conditions, b=DOWN))
        began = time.monotonic()
        await pod.sends_to(target, f"{A}:8080" if left else str(pod.agent.settings.agent_socket))
        took.append(time.monotonic() - began)
    print(f"Envoy followed within {', '.join(f'{t * 1000:.0f}' for t in took)} ms of the answers to the writes")
    assert min(took) < 0.1, took

    proved = pod.agent.not_ready(target)
    assert [e.address for e in proved] == [B]

    async def published() -> None:  # it waits 50 ms for Envoy's word, which a busy machine may not give in time
        assert await pod.agent.publish(target, proved), "a pod that answered a probe, before the kubelet says ready"

    await eventually(published)
    assert await pod.admin.addresses(target) == {f"{B}:8080"}

    assert (await pod.get("/readyz")) == (200, "ok\n")
    status, text = await pod.get("/signals")
    assert status == 200
    said = json.loads(text)["models"][target]
    assert (said["inFlight"], said["endpoints"]) == (0, 1)


@pytest.mark.parametrize("name", ["xds/cds.json", "xds/rds.json", "xds/lds.json"])
async def test_what_envoy_refuses_is_said_until_it_is_mended(api: Client, namespace: str, pod: Pod, name: str) -> None:
    await apply(api, keys_secret(namespace, a="key:x/y"), model(namespace))

    async def says(words: str) -> None:
        status, text = await pod.get("/readyz")
        assert status == 200, text
        assert words in text

    async def well() -> None:
        assert await pod.get("/readyz") == (200, "ok\n")

    await eventually(well)
    pod.renderer.spoilt = name
    pod.agent.writer.changed()
    await eventually(lambda: says(f"Envoy refuses the newest {name}"))
    assert f'smallmodel_gateway_config_refused{{file="{name[4:7]}"}} 1.0' in (await pod.get("/metrics"))[1]
    pod.renderer.spoilt = ""
    pod.agent.writer.changed()
    await eventually(well)


async def test_an_agent_that_comes_back_finds_its_envoy(
    api: Client, plane: ControlPlane, namespace: str, tmp_path: Path, pod: Pod
) -> None:
    """Whatever happened while it was away is in Envoy soon after."""
    target = f"{namespace}/bot"
    await apply(api, keys_secret(namespace), model(namespace))
    await put_slice(api, endpoint_slice(namespace, a=UP, b=UP))
    await pod.sends_to(target, f"{A}:8080", f"{B}:8080")
    await pod.agent.discovery.stop()  # as if it were killed: the stream is cut, its caches know nothing more
    await put_slice(api, endpoint_slice(namespace, a=UP))
    assert await pod.admin.addresses(target) == {f"{A}:8080", f"{B}:8080"}, "Envoy keeps what it had"
    kubeconfig = as_operator(plane, namespace, tmp_path / "second.kubeconfig", "smallmodel-gateway")
    async with agent(pod.agent.settings, await connect(kubeconfig, Fence.open()), pod.renderer):
        began = time.monotonic()
        await pod.sends_to(target, f"{A}:8080")
        print(f"Envoy was up to date {time.monotonic() - began:.2f} s after its agent started")
