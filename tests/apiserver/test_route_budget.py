"""Fifty clients on three gateways that are killed and started again, one real API server: the budget is used up to its
last request, and what the registers say is what was used."""

import asyncio
import json
import random
import shutil
import signal
import sys
import tempfile
from collections import Counter as Counts
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from hack.cluster.controlplane import ControlPlane
from tests.apiserver.conftest import ROOT, eventually
from tests.apiserver.rights import GATEWAY, as_operator, gateway_rights
from tests.fakes.budget_agent import SOCKET, TARGET

from smallmodel_operator.budget import text
from smallmodel_operator.budget.counter import Counter, Unit
from smallmodel_operator.budget.need import Why
from smallmodel_operator.budget.places import REGISTERS, place
from smallmodel_operator.budget.register import Register
from smallmodel_operator.budget.window import Period, window
from smallmodel_operator.cluster.budgets import ENTRY
from smallmodel_operator.cluster.client import Client

CLIENTS, GATEWAYS = 50, 3
REQUESTS, TOKENS = 900, 27_000
MOST = 60
"""Tokens one request reserves."""
OVER = (Why.EXHAUSTED.value, Why.RESERVED.value)


class Agent:
    """One gateway: the agent's process, its folder, and the Envoy that writes its log and outlives it."""

    def __init__(self, name: str, folder: Path, kubeconfig: Path, namespace: str) -> None:
        self.name, self.folder = name, folder
        self._arguments = (str(kubeconfig), namespace, name, str(folder))
        self._process: asyncio.subprocess.Process | None = None
        folder.mkdir()

    async def start(self) -> None:
        log = (self.folder / "agent.log").open("ab")
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.fakes.budget_agent", *self._arguments, cwd=ROOT, stdout=log, stderr=log
        )
        log.close()

    async def end(self, sign: signal.Signals) -> int:
        assert self._process is not None
        if self._process.returncode is None:
            self._process.send_signal(sign)
        return await self._process.wait()

    async def ask(self, method: str, path: str, body: Any = None) -> tuple[int, str]:
        """Status and text; 0: nobody answers."""
        connector = aiohttp.UnixConnector(path=str(self.folder / SOCKET))
        try:
            async with aiohttp.ClientSession(connector=connector) as session:
                timeout = aiohttp.ClientTimeout(total=60)
                async with session.request(method, f"http://agent{path}", json=body, timeout=timeout) as answer:
                    return answer.status, await answer.text()
        except (aiohttp.ClientError, OSError, TimeoutError):
            return 0, ""

    def log(self, request: str, status: int, attempts: int = 0, tokens: int | None = None) -> None:
        """What Envoy writes when a request is over."""
        line: dict[str, Any] = {"request.id": request, "http.response.status_code": status, "slm.attempts": attempts}
        line |= {"slm.route": TARGET, "gen_ai.operation.name": "chat"} | (
            {"gen_ai.usage.output_tokens": tokens} if tokens is not None else {}
        )
        with (self.folder / "access.log").open("ab", buffering=0) as file:
            file.write(json.dumps(line).encode() + b"\n")

    async def settled(self) -> None:
        assert await self.ask("GET", "/running") == (200, "0"), (self.folder / "agent.log").read_text()[-2000:]


@pytest.fixture
def place_for_sockets() -> Iterator[Path]:
    """Short enough for the name of a socket."""
    folder = Path(tempfile.mkdtemp(prefix="slm-"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def kubeconfig(plane: ControlPlane, namespace: str, tmp_path: Path) -> Path:
    """Of a gateway, with the chart's own rights."""
    maps = [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": namespace}}
        for name in REGISTERS
    ]
    items = [*gateway_rights(namespace), *maps]
    plane.kubectl(
        "apply", "--server-side", "-f-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
    )
    return as_operator(plane, namespace, tmp_path / "agent.kubeconfig", GATEWAY)


async def register(api: Client, namespace: str, name: str) -> Register:
    found = await api.get("ConfigMap", name, namespace)
    assert found is not None
    return text.read((found.get("data") or {}).get(ENTRY, ""))


def counters(route: str) -> tuple[Counter, Counter]:
    """A month's: no test runs into another one but once in a while, and then both are counted."""
    month = window(Period.MONTH, datetime.now(UTC))
    return Counter(route, Unit.REQUESTS, month), Counter(route, Unit.TOKENS, month, "sa:crm/app")


class Load:
    """What the clients do, and what it comes to: the truth."""

    def __init__(self, agents: list[Agent], needs: list[list[Any]]) -> None:
        self.agents, self.needs = agents, needs
        self.drawn = random.Random(8)
        self.requests = self.tokens = self.unanswered = 0
        self.refused: Counts[str] = Counts()

    async def client(self, number: int) -> None:
        """Asks on until nothing more is to be had anywhere."""
        last = 0
        while True:
            last += 1
            agent, request = self.agents[self.drawn.randrange(GATEWAYS)], f"{number}-{last}"
            status, why = await agent.ask("POST", "/reserve", {"id": request, "needs": self.needs})
            if status == 200:
                self.requests += 1
                used = self.drawn.randint(0, MOST)
                await asyncio.sleep(self.drawn.random() / 50)
                known = self.drawn.random() < 0.9
                self.tokens += used if known else MOST
                agent.log(request, 200, 1, used if known else None)
            elif status == 429:
                agent.log(request, 429)
                self.refused[why] += 1
                if why == Why.EXHAUSTED.value:
                    return
                await asyncio.sleep(0.2)
            else:
                agent.log(request, 503)
                self.unanswered += 1
                await asyncio.sleep(0.1)


@pytest.mark.parametrize(
    ("requests", "tokens"), [(REQUESTS, 10**9), (10**9, TOKENS)], ids=["requests-run-out", "tokens-run-out"]
)
async def test_fifty_clients_on_three_gateways_that_are_killed(
    requests: int, tokens: int, api: Client, namespace: str, kubeconfig: Path, place_for_sockets: Path
) -> None:
    route = f"{namespace}/front"
    of_requests, of_tokens = counters(route)
    agents = [Agent(f"gateway-{n}", place_for_sockets / str(n), kubeconfig, namespace) for n in range(GATEWAYS)]
    load = Load(agents, [[str(of_requests), 1, requests], [str(of_tokens), MOST, tokens]])
    goal = min(requests, tokens // (MOST // 2))
    try:
        for agent in agents:
            await agent.start()
        clients = asyncio.gather(*(load.client(number) for number in range(CLIENTS)))
        for part in range(1, 7):
            while load.requests < goal * part // 8 and not clients.done():  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            agent = agents[part % GATEWAYS]
            await agent.end(signal.SIGKILL)
            await agent.start()
        await asyncio.wait_for(clients, 240)
        for agent in agents:
            await eventually(agent.settled)
            assert await agent.end(signal.SIGTERM) == 0
    finally:
        for agent in agents:
            await agent.end(signal.SIGKILL)
    found = await register(api, namespace, place(of_requests.route))
    assert found.used(of_requests) == load.requests, "requests are neither lost nor made up"
    assert found.used(of_tokens) == load.tokens, "tokens are neither lost nor made up"
    assert found.taken(of_requests) == load.requests, "nothing is held back"
    assert found.taken(of_tokens) == load.tokens
    assert load.requests <= requests
    assert load.tokens <= tokens
    assert load.requests == requests or load.tokens > tokens - MOST, "all of it could be used"
    assert load.unanswered, "the kills were felt"
    assert set(load.refused) <= {*OVER, Why.UNREACHABLE.value}
    print(f"{load.requests} requests, {load.tokens} tokens, {load.unanswered} unanswered, refused {dict(load.refused)}")


async def test_only_the_registers_can_be_changed(plane: ControlPlane, namespace: str, kubeconfig: Path) -> None:
    for verb, name, may in (("patch", REGISTERS[0], "yes"), ("patch", "smallmodel-spend", "no"), ("create", "", "no")):
        asked = ["auth", "can-i", verb, f"configmaps/{name}".rstrip("/"), "-n", namespace]
        said = plane.kubectl(*asked, f"--kubeconfig={kubeconfig}", check=False)
        assert said.split()[-1] == may, (verb, name)
