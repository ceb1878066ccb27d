"""Fifty clients on three gateways, each a real Envoy and its agent, that are killed and started again, on a real API
server: no request goes beyond the budget, and what counts is what went."""

import asyncio
import base64
import fcntl
import json
import random
import re
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest
from hack.cluster.controlplane import ControlPlane
from hack.envoy.binary import program
from tests.apiserver.conftest import ROOT, apply, eventually
from tests.apiserver.objects import model
from tests.apiserver.rights import GATEWAY, as_operator, gateway_rights
from tests.apiserver.test_gateway_agent import UP, endpoint_slice, keys_secret, put_slice
from tests.apiserver.test_route_budget import register
from tests.apiserver.test_routes import route
from tests.fakes.counted_gateway import Renderer, settings
from tests.fakes.upstream import USAGE, Engine

from smallmodel_operator.budget.counter import Counter, Unit
from smallmodel_operator.budget.journal import replay
from smallmodel_operator.budget.places import REGISTERS, place
from smallmodel_operator.budget.price import plain, price_of
from smallmodel_operator.budget.window import Period, window
from smallmodel_operator.cluster.client import Client
from smallmodel_operator.core.keys import Identity, dump, hashed
from smallmodel_operator.gateway.admin import Admin, Unreachable
from smallmodel_operator.gateway.budget.journal import LOCK, NAME
from smallmodel_operator.gateway.budget.part import FOLDER
from smallmodel_operator.gateway.config import prepare
from smallmodel_operator.gateway.files import Files

CLIENTS, GATEWAYS, LIMIT = 50, 3, 240
KEY = "slm-key"
BODY: Final[dict[str, Any]] = {"model": "desk/cloud", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 20}
MOST = 600
"""Tokens one request reserves, at most."""
CLOUD: Final[dict[str, Any]] = {
    "name": "cloud",
    "external": {
        "url": "https://api.example.com/v1",
        "model": "big-1",
        "price": {"promptPerMillionTokens": "0.01", "generatedPerMillionTokens": "2", "currency": "EUR"},
    },
}
PRICE = price_of(CLOUD["external"]["price"])
EACH = PRICE.of(USAGE["prompt_tokens"], USAGE["completion_tokens"])
"""Trillionths that one request costs; and that it reserves, at most."""
DEAREST = PRICE.of(MOST, BODY["max_tokens"])
PAID = 200
"""Requests for which there is money where that is what runs out."""


class Gateway:
    """One pod: its Envoy, its agent, and their folder, which outlives both."""

    def __init__(self, name: str, folder: Path, kubeconfig: Path, namespace: str, engine: int) -> None:
        self.name, self.folder, self.port = name, folder, 0
        self._arguments = (str(kubeconfig), namespace, name, str(folder), str(engine))
        self._settings = settings(namespace, name, folder)
        self._agent: asyncio.subprocess.Process | None = None
        self._envoy: asyncio.subprocess.Process | None = None
        folder.mkdir()
        prepare(Files(folder / "run"), Renderer(folder, engine))

    async def start_agent(self) -> None:
        self._agent = await self._start(sys.executable, "-m", "tests.fakes.counted_gateway", *self._arguments)

    async def start_envoy(self) -> None:
        self._envoy = await self._start(
            program(), "-c", str(self.folder / "run" / "bootstrap.json"), "--disable-hot-restart", "-l", "warning",
            "--concurrency", "1", "--file-flush-interval-msec", "100",
        )  # fmt: skip
        await eventually(self._listens, timeout=60)

    async def _start(self, *words: str) -> asyncio.subprocess.Process:
        with (self.folder / "output.log").open("ab") as log:
            return await asyncio.create_subprocess_exec(*words, cwd=ROOT, stdout=log, stderr=log)

    async def _listens(self) -> None:
        try:
            async with Admin(self._settings.admin_socket) as admin:
                found = json.loads(await admin._get("/listeners?format=json"))
            self.port = found["listener_statuses"][0]["local_address"]["socket_address"]["port_value"]
        except (Unreachable, LookupError) as error:
            raise AssertionError(f"{self.name}: {error!r} {self.output()}") from None

    def output(self) -> str:
        return (self.folder / "output.log").read_text()[-2000:]

    def written_off(self) -> int:
        """Requests whose lines went with their Envoy, as agents said."""
        said = (self.folder / "output.log").read_text()
        return sum(map(int, re.findall(r"(\d+) requests ended with their Envoy", said)))

    async def kill_agent(self) -> None:
        await _end(self._agent, signal.SIGKILL)
        await self.start_agent()

    async def kill_envoy(self) -> None:
        await _end(self._envoy, signal.SIGKILL)
        await self.start_envoy()

    async def settled(self) -> None:
        path = self.folder / FOLDER / NAME
        waiting = replay(path.read_bytes()).purse.reservations if path.exists() else {}
        assert not waiting, (self.name, len(waiting), self.output())
        lock_path = path.with_name(LOCK)
        assert lock_path.exists(), self.output()
        with lock_path.open("rb") as lock, suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            raise AssertionError(f"{self.name}: the agent that was started last is not there yet. {self.output()}")

    async def stop(self) -> None:
        """As a pod ends: what is free is given back."""
        await _end(self._agent, signal.SIGTERM)

    async def kill(self) -> None:
        for process in (self._agent, self._envoy):
            await _end(process, signal.SIGKILL)


async def _end(process: asyncio.subprocess.Process | None, sign: signal.Signals) -> None:
    if process is not None and process.returncode is None:
        process.send_signal(sign)
        await process.wait()


class Load:
    """Fifty clients, and what came of what they asked."""

    def __init__(self, gateways: list[Gateway], namespace: str) -> None:
        self._gateways, self._path = gateways, f"/{namespace}/v1/chat/completions"
        self._drawn = random.Random(8)
        self.answered = self.cut = self.later = 0
        self.codes: dict[str, int] = {}

    async def client(self, session: aiohttp.ClientSession) -> None:
        """Asks on until a budget is said to be used up."""
        while True:
            status, error = await self._ask(session)
            if status == 200:
                self.answered += 1
                continue
            code = str(error.get("code"))
            self.codes[code] = self.codes.get(code, 0) + 1
            if status == 429 and "is used up" in error["message"]:
                return
            self.later += 1
            await asyncio.sleep(0.1 + self._drawn.random() / 5)

    async def _ask(self, session: aiohttp.ClientSession) -> tuple[int, dict[str, Any]]:
        port = self._gateways[self._drawn.randrange(GATEWAYS)].port
        try:
            async with session.post(
                f"http://127.0.0.1:{port}{self._path}", json={**BODY, "fake_delay": round(self._drawn.random() / 3, 2)},
                headers={"Authorization": f"Bearer {KEY}"},
            ) as answer:  # fmt: skip
                said = await answer.json()
                return answer.status, said.get("error") or {}
        except (aiohttp.ClientError, OSError, TimeoutError):
            self.cut += 1
            return 0, {"code": "cut", "message": ""}


@pytest.fixture
def engine() -> Any:
    found = Engine("bot").start()
    yield found
    found.stop()


@pytest.fixture
async def gateways(
    plane: ControlPlane, api: Client, namespace: str, tmp_path: Path, engine: Engine, envoys: bool
) -> AsyncIterator[list[Gateway]]:
    maps = [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": namespace}}
        for name in REGISTERS
    ]
    items = {"apiVersion": "v1", "kind": "List", "items": [*gateway_rights(namespace), *maps]}
    await asyncio.to_thread(plane.kubectl, "apply", "--server-side", "-f-", stdin=json.dumps(items))
    secret = keys_secret(namespace)
    table = dump({hashed(KEY): Identity(namespace, f"key:{namespace}/desk")})
    secret["data"]["keys.json"] = base64.b64encode(table.encode()).decode()
    budgets = [
        {"per": "Route", "period": "Month", "requests": LIMIT},
        {"per": "Caller", "period": "Month", "tokens": 10**9},
        {"per": "Route", "period": "Month", "money": plain(PAID * EACH) if envoys else "1", "currency": "EUR"},
    ]
    desk = route(namespace, ("bot", None), budgets=budgets, default="bot", boundary={
        "external": "WhenClean", "trusted": [{"name": "all", "namespace": namespace, "labels": ["public"]}],
    })  # fmt: skip
    desk["spec"]["targets"].append(CLOUD)
    await apply(api, secret, model(namespace), desk)
    await put_slice(api, endpoint_slice(namespace, a=UP))
    kubeconfig = as_operator(plane, namespace, tmp_path / "kubeconfig", GATEWAY)
    short = Path(tempfile.mkdtemp(prefix="slm-"))  # the path of a socket has to be
    made = [Gateway(f"gateway-{n}", short / str(n), kubeconfig, namespace, engine.port) for n in range(GATEWAYS)]
    async with AsyncExitStack() as stack:
        stack.callback(shutil.rmtree, short)
        for one in made:
            stack.push_async_callback(one.kill)
            await one.start_agent()
        for one in made:
            await one.start_envoy()
        yield made


@pytest.mark.parametrize("envoys", [False, True], ids=["agents-are-killed", "envoys-too"])
async def test_three_gateways_count_as_one(
    envoys: bool, api: Client, namespace: str, gateways: list[Gateway], engine: Engine
) -> None:
    name = f"{namespace}/desk"
    month = window(Period.MONTH, datetime.now(UTC))
    requests = Counter(name, Unit.REQUESTS, month)
    tokens = Counter(name, Unit.TOKENS, month, f"key:{namespace}/desk")
    money = Counter(name, Unit.MONEY, month, currency="EUR")
    load = Load(gateways, namespace)
    connector = aiohttp.TCPConnector(force_close=True, limit=CLIENTS)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=30)) as session:
        clients = asyncio.gather(*(load.client(session) for _ in range(CLIENTS)))
        try:
            for part in range(1, 5):
                while len(engine.asked) < LIMIT * part // 6 and not clients.done():  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
                await gateways[part % GATEWAYS].kill_agent()
                if envoys and part % 2:
                    await gateways[(part + 1) % GATEWAYS].kill_envoy()
            await asyncio.wait_for(asyncio.shield(clients), 200)
        finally:
            clients.cancel()
            with suppress(asyncio.CancelledError):
                await clients
    for one in gateways:
        await eventually(one.settled, timeout=60)
        await one.stop()
    found, went = await register(api, namespace, place(name)), len(engine.asked)
    print(f"{went} went, {load.answered} answered, {load.cut} cut, {load.later} told to try later, {load.codes}")
    paid = found.used(money)
    assert went <= LIMIT, "never beyond the budget"
    for counter in (requests, tokens, money):
        assert found.taken(counter) == found.used(counter), "nothing more is held"
    assert went <= found.used(requests) <= went + load.cut, (
        "nothing is lost, and only what was cut may count unanswered"
    )
    # All that was held counts for who was cut, and where the line went with its Envoy, be it answered before.
    each, whole = USAGE["total_tokens"], load.cut + sum(one.written_off() for one in gateways)
    assert each * load.answered <= found.used(tokens) <= each * load.answered + MOST * whole
    assert EACH * load.answered <= paid <= EACH * load.answered + DEAREST * whole
    assert load.later, "the kills were felt"
    if not envoys:
        assert (load.cut, went, load.answered) == (0, LIMIT, LIMIT), "all of it could be used"
    else:
        assert load.cut, "those of Envoys, too"
        assert PAID * EACH - DEAREST < paid <= PAID * EACH, (
            "less than the next one may cost is left, and nothing is owed"
        )
