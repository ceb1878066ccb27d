"""With the real Envoy: every request leaves one record whatever is killed, and Envoy's own count says so."""

import asyncio
import http.client
import json
import os
import random
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.clock import until
from tests.fakes.recording import MASTER, agent_of, counted_of
from tests.fakes.upstream import Engine
from tests.gateway.running import Gateway
from tests.gateway.states import SUPPORT, model, state_of

from smallmodel_operator.audit.report import Report
from smallmodel_operator.audit.sign import Signer
from smallmodel_operator.cli.audit import check
from smallmodel_operator.cli.audit_files import chains
from smallmodel_operator.core.keys import audit_seed
from smallmodel_operator.gateway.accesslog.rotate import Rotator
from smallmodel_operator.gateway.admin import Admin
from smallmodel_operator.gateway.agent import Agent
from smallmodel_operator.gateway.record import door, part
from smallmodel_operator.gateway.record.segments import Segments
from smallmodel_operator.gateway.state import State

CHAT = "/v1/chat/completions"
SECRET = "the text of the prompt"
KEY = Signer(audit_seed(MASTER, "gateway-0")).public


@asynccontextmanager
async def recording(folder: Path, **settings: Any) -> AsyncIterator[Agent]:
    """The record at work, and Envoy's lines written at once."""
    async with Admin(folder / "admin.sock") as admin:
        agent = agent_of(folder, admin, **settings)

        async def flush() -> None:
            while True:
                with suppress(Exception):
                    await admin.reopen_logs()
                await asyncio.sleep(0.1)

        tasks = [asyncio.create_task(flush()), asyncio.create_task(part.record(agent, counted_of(folder)))]
        try:
            yield agent
            assert not tasks[1].done()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def verified(folder: Path) -> Report:
    """Of an empty chain where there is none yet."""
    found = chains([str(folder / "audit")]) if list(folder.glob("audit/*.jsonl")) else []
    return check(found[0], [KEY]) if found else Report()


def answered(folder: Path) -> list[str]:
    """Request ids of all records."""
    found = chains([str(folder / "audit")]) if list(folder.glob("audit/*.jsonl")) else []
    records = [r for chain in found for r, _ in chain.records() if r is not None and r.kind == "answer"]
    return [str(r.body.get("request.id")) for r in records]


def state(bot: Engine) -> State:
    models = (model("support/bot"), model("support/off", off=True), model("support/tight", requests_per_minute=1))
    return state_of(models, {"support/bot": bot.port, "support/tight": bot.port})


def raw(gateway: Gateway, text: bytes) -> None:
    with socket.create_connection(("127.0.0.1", gateway.port), 5) as connection:
        connection.sendall(text)
        connection.settimeout(0.5)
        with suppress(OSError):
            while connection.recv(4096):
                pass


def leave(gateway: Gateway, **fields: object) -> None:
    """A caller that goes before it has its answer."""
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=60)
    headers = {"Authorization": f"Bearer {SUPPORT}", "Content-Type": "application/json"}
    connection.request("POST", CHAT, json.dumps({"model": "bot", **fields}), headers)
    with suppress(OSError):
        connection.sock.settimeout(0.3)
        connection.sock.recv(100)
    connection.close()


def every_kind(gateway: Gateway) -> int:
    """Requests of every kind; how many."""
    body = {"model": "bot", "messages": [{"role": "user", "content": SECRET}]}
    gateway.post(f"{CHAT}?key=in-the-query", body, SUPPORT)
    gateway.post(CHAT, {**body, "stream": True}, SUPPORT)
    gateway.post(CHAT, {**body, "fake_status": 500}, SUPPORT)
    gateway.post(CHAT, body)
    gateway.post(CHAT, body, "slm-wrong")
    gateway.post(CHAT, {**body, "model": "off"}, SUPPORT)
    gateway.post(CHAT, {**body, "model": "nobody"}, SUPPORT)
    gateway.post(CHAT, {**body, "model": "tight"}, SUPPORT)
    gateway.post(CHAT, {**body, "model": "tight"}, SUPPORT)
    gateway.get("/v1/models", SUPPORT)
    leave(gateway, fake_delay=2)
    leave(gateway, stream=True, fake_chunks=["data: 1\n\n"] * 20, fake_pause=0.1)
    raw(gateway, b"GET / HTTP/1.1\r\n\r\n")  # no host
    raw(gateway, b"GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n")
    raw(gateway, b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n{")  # left in the body
    return 12


async def test_every_request_leaves_one_record_and_the_counts_agree(
    tmp_path_factory: pytest.TempPathFactory, bot: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(part, "CHECKPOINT_SECONDS", 0.5)
    folder = tmp_path_factory.mktemp("a")
    with Gateway(folder, state(bot)) as gateway:
        async with recording(folder) as agent:
            agent.writer.given.append(state(bot).models)
            least = await asyncio.to_thread(every_kind, gateway)
            await until(lambda: len(answered(folder)) >= least, 10)
            newest = model("support/bot", generation=2, max_body_bytes=1 << 20)
            agent.writer.given.append({newest.target: newest})
            gateway.apply(state_of((newest,), {"support/bot": bot.port}))
            answer = await asyncio.to_thread(gateway.post, CHAT, {"model": "bot"}, SUPPORT)
            last = answer.headers["x-request-id"]
            await until(lambda: last in answered(folder), 10)

            def settled() -> bool:
                counts = verified(folder).counts()
                return bool(counts) and counts[-1]["finished"] == len(answered(folder))

            await until(settled, 60)
    report = verified(folder)
    assert report.faults == []
    assert report.signed_to == report.last
    assert report.keys == [KEY]
    (count,) = report.counts()
    assert count["finished"] == count["recorded"] == report.answers >= least + 1
    assert (count["missing"], count["surplus"]) == (0, 0)
    assert (report.in_force, report.unexplained, report.warnings) == (7, 0, [])  # 3 models and all; another, 2 gone
    lines = [json.loads(text) for text in (folder / "access.log").read_text().splitlines()]
    assert [str(line.get("request.id")) for line in lines] == answered(folder)
    text = "".join(path.read_text() for path in (folder / "audit").iterdir())
    for secret in (SECRET, SUPPORT, "in-the-query", "Bearer", "slm-wrong"):
        assert secret not in text, secret


async def test_refuse_refuses_until_answers_can_be_recorded(
    tmp_path_factory: pytest.TempPathFactory, bot: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Closed before the first agent, open while records can be written, closed as long as they cannot."""
    monkeypatch.setattr(part, "CHECKPOINT_SECONDS", 0.5)
    folder = tmp_path_factory.mktemp("r")
    settings = agent_of(folder, None, audit_on_failure="Refuse").settings
    door.prepare(settings)
    with Gateway(folder, state(bot), refuse=True) as gateway:
        sent: list[str] = []

        def status() -> int:
            answer = gateway.post(CHAT, {"model": "bot"}, SUPPORT)
            if answer.status == 200:
                sent.append(answer.headers["x-request-id"])
            return answer.status

        async def becomes(wanted: int) -> None:
            async with asyncio.timeout(10):
                while await asyncio.to_thread(status) != wanted:  # noqa: ASYNC110 - a server's state
                    await asyncio.sleep(0.02)

        await becomes(503)
        refused = await asyncio.to_thread(gateway.post, CHAT, {"model": "bot"}, SUPPORT)
        assert (refused.status, refused.headers["x-slm-cause"]) == (503, "overloaded")
        assert "answers cannot be recorded" in refused.json["error"]["message"]
        async with recording(folder, audit_on_failure="Refuse"):
            await becomes(200)
            with monkeypatch.context() as patch:
                patch.setattr(door, "LEAST_BYTES", 1 << 60)
                await becomes(503)
            await becomes(200)

            def full(self: Segments, data: bytes, first: int, **_: Any) -> None:
                raise OSError(28, "No space left on device")

            with monkeypatch.context() as patch:
                patch.setattr(Segments, "append", full)
                await becomes(503)
                assert [await asyncio.to_thread(status) for _ in range(5)] == [503] * 5
            await becomes(200)
            await until(lambda: sent[-1] in answered(folder))
            # Refused requests are requests: they are recorded and counted as well.
            await until(lambda: verified(folder).counts()[-1]["finished"] == len(answered(folder)), 10)
    (count,) = verified(folder).counts()
    assert (count["missing"], count["surplus"]) == (0, 0)
    assert verified(folder).faults == []
    assert [request for request in answered(folder) if request in sent] == sent
    assert "writing-failed" in {n["event"] for n in verified(folder).notes}


async def test_a_line_that_is_taken_away_is_counted_as_missing(
    tmp_path_factory: pytest.TempPathFactory, bot: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(part, "CHECKPOINT_SECONDS", 0.5)
    folder = tmp_path_factory.mktemp("m")
    with Gateway(folder, state(bot)) as gateway:
        for _ in range(5):
            gateway.post(CHAT, {"model": "bot"}, SUPPORT)
        gateway.log()
        log = folder / "access.log"
        await until(lambda: log.read_bytes().count(b"\n") == 5, 5)
        log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[:3]))
        async with recording(folder):
            await until(lambda: bool(verified(folder).counts()), 15)
    (count,) = verified(folder).counts()
    assert (count["finished"], count["recorded"], count["missing"], count["surplus"]) == (5, 3, 2, 0)


async def test_killed_agents_and_rotated_logs_lose_and_double_nothing(
    tmp_path_factory: pytest.TempPathFactory, bot: Engine
) -> None:
    folder, sent, rng = tmp_path_factory.mktemp("k"), list[str](), random.Random(7)
    with Gateway(folder, state(bot)) as gateway:
        done = asyncio.Event()

        def traffic() -> None:
            while not done.is_set():
                sent.append(gateway.post(CHAT, {"model": "bot"}, SUPPORT).headers["x-request-id"])

        async with Admin(folder / "admin.sock") as admin:
            rotator = Rotator(folder / "access.log", admin.reopen_logs, max_bytes=200_000, keep=100)
            asking = asyncio.create_task(asyncio.to_thread(traffic))
            for _ in range(3):
                process = await asyncio.create_subprocess_exec(
                    sys.executable, "-m", "tests.fakes.recording", str(folder)
                )
                before, clock = len(answered(folder)), asyncio.get_running_loop().time
                end, latest = clock() + rng.random(), clock() + 20
                while clock() < end or (len(answered(folder)) == before and clock() < latest):
                    await admin.reopen_logs()
                    await rotator.check()
                    await asyncio.sleep(0.01 + rng.random() / 10)
                assert process.returncode is None
                os.kill(process.pid, signal.SIGKILL)
                await process.wait()
            done.set()
            await asking
        async with recording(folder):
            await until(lambda: len(answered(folder)) >= len(sent), 20)
    report = verified(folder)
    assert report.faults == []
    assert len(sent) > 100
    assert answered(folder) == sent
    assert [n["event"] for n in report.notes].count("agent-began") >= 3
    assert "log-garbage" not in {n["event"] for n in report.notes}


async def test_a_killed_envoy_begins_a_new_count(
    tmp_path_factory: pytest.TempPathFactory, bot: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(part, "CHECKPOINT_SECONDS", 0.5)
    folder = tmp_path_factory.mktemp("e")
    async with recording(folder):
        for number in (3, 4):
            with Gateway(folder, state(bot)) as gateway:
                for _ in range(number):
                    await asyncio.to_thread(gateway.post, CHAT, {"model": "bot"}, SUPPORT)
                await until(
                    lambda number=number: (
                        (folder / "audit").exists()  # type: ignore[misc]
                        and [c["finished"] for c in verified(folder).counts()][-1:] == [number]
                    ),
                    15,
                )
                os.kill(gateway.pid, signal.SIGKILL)
    report = verified(folder)
    assert report.faults == []
    assert [(c["finished"], c["missing"], c["surplus"]) for c in report.counts()] == [(3, 0, 0), (4, 0, 0)]
    (note,) = [n for n in report.notes if n["event"] == "envoy-began"]
    assert (note["before"]["finished"], note["before"]["recorded"]) == (3, 3)
