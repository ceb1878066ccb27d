"""Two gateways with real Envoys, and a model whose pod starts, stops and answers as told."""

import asyncio
import hashlib
import json
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import aiohttp
from aiohttp import web
from hack.cluster.paths import REPOSITORY
from hack.images.gateway.envoy import binary
from hack.ports import free_port
from tests.fakes.clock import until
from tests.gateway.activation.agent import MASTER

from smallmodel_operator.core.keys import peer_key

KEY = "slm-test-key"
TARGET = "support/bot"
POD = "127.0.0.9"


@dataclass
class Stage:
    """The cluster: a model asleep. Woken, its pod has an address after `schedule`, listens after `container` more, is
    loaded after `load` more, and called ready by its kubelet after `kubelet` more (seconds)."""

    schedule: float = 0.4
    container: float = 0.3
    load: float = 1.0
    kubelet: float = 0.5
    wakes: int = 0
    crashes: int = 0
    ready_at: float = 0.0
    endpoints: list[dict[str, Any]] = field(default_factory=list)
    arrived: list[tuple[float, str, int]] = field(default_factory=list)
    """Requests at the pod: when, whose (x-test), bytes of the body."""

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.add_routes([web.get("/endpoints", self._endpoints), web.post("/wake", self._wake)])
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        self.port = free_port(POD)
        self._crashing: asyncio.Task[None] | None = None
        self._pod: web.AppRunner | None = None
        self._starting: asyncio.Task[None] | None = None
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.sleep()
        await self._runner.cleanup()

    async def _endpoints(self, _: web.Request) -> web.Response:
        return web.json_response(self.endpoints)

    async def _wake(self, _: web.Request) -> web.Response:
        woken = self._starting is None
        if woken:
            self.wakes += 1
            self._starting = asyncio.create_task(self._start())
        return web.json_response({"woken": woken})

    async def _start(self) -> None:
        await asyncio.sleep(self.schedule)
        self.endpoints = [{"address": POD, "port": self.port, "ready": False}]
        await self._run()

    async def _run(self) -> None:
        """The container of the pod that has its address."""
        await asyncio.sleep(self.container)
        app = web.Application(client_max_size=64 << 20)
        app.add_routes([web.get("/health", self._health), web.post("/v1/chat/completions", self._answer)])
        self._loaded = False
        self._pod = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._pod.setup()
        await web.TCPSite(self._pod, POD, self.port, backlog=1024).start()
        await asyncio.sleep(self.load)
        self._loaded, self.ready_at = True, time.monotonic()
        await asyncio.sleep(self.kubelet)
        self.endpoints = [{"address": POD, "port": self.port, "ready": True}]

    async def sleep(self) -> None:
        """Scaled to zero: the pod leaves the endpoints, then ends."""
        self.endpoints = []
        for task in (self._starting, self._crashing):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        await asyncio.sleep(0.1)
        if self._pod is not None:
            await self._pod.cleanup()
        self._pod = self._starting = self._crashing = None
        self.ready_at = 0.0

    async def _crash(self) -> None:
        """The engine ends, its kubelet sees it and starts it anew: the pod and its address stay."""
        pod, self._pod = self._pod, None
        if pod is not None:
            await pod.cleanup()
        self.endpoints = [{"address": POD, "port": self.port, "ready": False}]
        await self._run()

    async def _health(self, _: web.Request) -> web.Response:
        return web.Response(status=200 if self._loaded else 503)

    async def _answer(self, request: web.Request) -> web.Response:
        body = await request.read()
        if not self._loaded:
            return web.json_response({"error": "loading"}, status=503)
        if request.headers.get("x-test") == "poison":
            self.crashes += 1
            self._crashing = asyncio.create_task(self._crash())
            await asyncio.sleep(60)
        self.arrived.append((time.monotonic(), request.headers.get("x-test", ""), len(body)))
        return web.json_response({"sha": hashlib.sha256(body).hexdigest()})


class Gateway:
    """One Envoy and its agent, in a folder of their own."""

    def __init__(self, folder: Path, config: dict[str, Any]) -> None:
        self.folder = folder
        self.config = {**config, "folder": str(folder)}
        self.agent: asyncio.subprocess.Process | None = None
        self.envoy: asyncio.subprocess.Process | None = None
        self.url = f"http://{config['address']}:{config['http_port']}"

    async def start_agent(self) -> None:
        (self.folder / "agent.pid").unlink(missing_ok=True)
        (self.folder / "config.json").write_text(json.dumps(self.config))
        with (self.folder / "agent.log").open("ab") as log:
            self.agent = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "tests.gateway.activation.agent", str(self.folder / "config.json"),
                cwd=REPOSITORY, stdout=log, stderr=log,
            )  # fmt: skip
        await until((self.folder / "agent.pid").exists, 60)

    async def start(self) -> None:
        await self.start_agent()
        with (self.folder / "envoy.log").open("wb") as log:
            self.envoy = await asyncio.create_subprocess_exec(
                str(binary()), "-c", str(self.folder / "bootstrap.json"), "--concurrency", "1", "-l", "warning",
                "--disable-hot-restart", stdout=log, stderr=log,
            )  # fmt: skip
        async with asyncio.timeout(60), aiohttp.ClientSession() as session:
            while True:
                try:
                    async with session.get(self.url + "/v1/models", headers=headers()) as answer:
                        if answer.status == 200 and "bot" in await answer.text():
                            return
                except aiohttp.ClientError:
                    pass
                assert self.envoy.returncode is None, (self.folder / "envoy.log").read_text()[-2000:]
                await asyncio.sleep(0.05)

    async def kill(self, *which: str) -> None:
        for name in which:
            process = getattr(self, name)
            if process is not None and process.returncode is None:
                process.send_signal(signal.SIGKILL)
                await process.wait()

    async def terminate_agent(self) -> None:
        """Asked to end, as by its kubelet."""
        assert self.agent is not None
        self.agent.terminate()
        await asyncio.wait_for(self.agent.wait(), 60)

    async def held(self) -> int:
        """As its activator says."""
        url = f"http://{self.config['address']}:{self.config['activator_port']}/held"
        known = {"Authorization": f"Bearer {peer_key(MASTER)}"}
        async with aiohttp.ClientSession(headers=known) as session, session.get(url) as answer:
            return int((await answer.json())["held"].get(TARGET, 0))


@asynccontextmanager
async def gateways(folder: Path, stage: Stage, count: int = 2, **model: Any) -> AsyncIterator[list[Gateway]]:
    """Gateways of one cluster, running."""
    addresses = [f"127.0.0.{2 + n}" for n in range(count)]
    port = free_port(*addresses)
    values = {"namespace": "support", "name": "bot", "uid": "uid-bot", "may_sleep": True, "max_queued": 200, **model}
    made = []
    for address in addresses:
        own = folder / address
        own.mkdir()
        config = {
            "address": address,
            "http_port": free_port(address),
            "activator_port": port,
            "peers": [a for a in addresses if a != address],
            "stage": stage.url,
            "keys": {hashlib.sha256(KEY.encode()).hexdigest(): ["support", "ns:support"]},
            "model": values,
        }
        made.append(Gateway(own, config))
    try:
        await asyncio.gather(*(g.start() for g in made))
        yield made
    finally:
        await asyncio.gather(*(g.kill("agent", "envoy") for g in made))


def headers(**more: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {KEY}", "Host": "bot.support.svc.cluster.local", **more}
