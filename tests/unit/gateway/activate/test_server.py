"""The activator's HTTP on real sockets, as Envoy speaks to it."""

import asyncio
import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import aiohttp
import pytest
from prometheus_client import REGISTRY, generate_latest
from tests.fakes.activation import FakePorts, model
from tests.fakes.clock import until

from smallmodel_operator.core.keys import engine_key, peer_key
from smallmodel_operator.gateway.activate.activator import Activator
from smallmodel_operator.gateway.activate.probe import HttpProbe
from smallmodel_operator.gateway.activate.queue import Limits
from smallmodel_operator.gateway.state import Endpoint

BOT = "support/bot"
HEADERS = {"x-slm-target": BOT, "x-slm-caller-namespace": "crm"}
MASTER = b"m" * 32
URL = "http://activator/v1/chat/completions"


@asynccontextmanager
async def running(
    folder: Path,
    limits: Limits | None = None,
    peer_port: int | None = None,
    master: bytes = MASTER,
    **values: object,
) -> AsyncIterator[tuple[FakePorts, Activator, aiohttp.ClientSession]]:
    """An activator that listens, and a client on its Unix socket."""
    ports = FakePorts(asyncio.get_running_loop().time, {BOT: model()}, **values)  # type: ignore[arg-type]
    activator = Activator(
        ports,
        folder / "agent.sock",
        0,
        lambda: master,
        host="127.0.0.1",
        probe=ports.probe,
        limits=limits,
        peer_port=peer_port,
    )
    task = asyncio.create_task(activator.run())
    await asyncio.wait_for(activator.listening.wait(), 5)
    connector = aiohttp.UnixConnector(str(folder / "agent.sock"), limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:
        yield ports, activator, session
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_held_then_sent_on_with_the_marker(tmp_path: Path) -> None:
    async with running(tmp_path, schedule=0.05, container=0.05, load=0.1) as (ports, activator, session):
        asked = [asyncio.create_task(_post(session, b"{}")) for _ in range(20)]
        await until(lambda: activator.queue.count(BOT) == 20)
        answers = await asyncio.gather(*asked)
        assert {(status, headers.get("x-slm-activated")) for status, headers, _ in answers} == {(503, "1")}
        assert all("x-slm-cause" not in headers for _, headers, _ in answers)
        assert ports.wakes == [BOT]


async def test_a_body_is_counted_and_dropped(tmp_path: Path) -> None:
    async def slowly() -> AsyncIterator[bytes]:
        for _ in range(50):
            yield b"x" * 65536
        await asyncio.Event().wait()

    async with running(tmp_path, deaf=True) as (_, activator, session):
        announced = asyncio.create_task(_post(session, b"x" * 5_000_000))
        await until(lambda: activator.queue.bytes == 5_000_000)
        announced.cancel()
        chunked = asyncio.create_task(_post(session, slowly()))
        await until(lambda: activator.queue.bytes == 50 * 65536)
        chunked.cancel()
        await until(lambda: activator.queue.bytes == 0)


async def test_more_bytes_than_the_gateway_holds_are_refused(tmp_path: Path) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b"x" * 1000

    async with running(tmp_path, deaf=True, limits=Limits(bytes=10_000)) as (_, activator, session):
        for body in (b"x" * 20_000, chunks()):
            status, headers, text = await _post(session, body)
            assert (status, headers["x-slm-cause"], headers["Retry-After"]) == (503, "gateway-full", "30")
            assert "x-slm-activated" not in headers
            assert json.loads(text)["error"]["code"] == "gateway_full"
        assert len(activator.queue) == 0


@pytest.mark.parametrize("size", [0, 3_000_000])
async def test_a_client_that_gives_up_leaves_the_queue(tmp_path: Path, size: int) -> None:
    async with running(tmp_path, deaf=True) as (_, activator, session):
        asked = asyncio.create_task(_post(session, b"x" * size))
        await until(lambda: activator.queue.count(BOT) == 1)
        asked.cancel()
        await until(lambda: activator.queue.count(BOT) == 0)
        await until(lambda: not any(t.get_name().startswith(("burst", "wake")) for t in asyncio.all_tasks()))


async def test_an_end_cuts_connections_so_that_envoy_turns_elsewhere(tmp_path: Path) -> None:
    async with running(tmp_path, deaf=True) as (_, activator, session):
        asked = asyncio.create_task(_post(session, b"{}"))
        await until(lambda: activator.queue.count(BOT) == 1)
        (task,) = [t for t in asyncio.all_tasks() if "Activator.run" in repr(t)]
        task.cancel()
        with pytest.raises(aiohttp.ClientConnectionError):
            await asyncio.wait_for(asked, 2)


async def test_long_headers_and_missing_ones(tmp_path: Path) -> None:
    async with running(tmp_path, schedule=0.0, container=0.0, load=0.0) as (_, _, session):
        async with session.post(URL, headers={**HEADERS, "x-long": "y" * 60_000}) as answer:
            assert answer.headers["x-slm-activated"] == "1"
        async with session.post(URL) as answer:
            assert answer.status == 400
        async with session.post(URL, headers={"x-slm-target": "support/none"}) as answer:
            assert (answer.status, (await answer.json())["error"]["code"]) == (404, "model_not_found")
        async with session.get("http://activator/health") as answer:
            assert answer.status == 200


async def test_the_bound_is_over_both_gateways(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    async with (
        running(tmp_path / "b", deaf=True) as (_, second, other),
        running(tmp_path / "a", peer_port=second.bound, deaf=True, others=("127.0.0.1",)) as (one, first, session),
    ):
        one.models[BOT] = model(max_queued=5)
        held = [asyncio.create_task(_post(other, b"{}")) for _ in range(3)]
        await until(lambda: second.queue.count(BOT) == 3)
        held += [asyncio.create_task(_post(session, b"{}"))]
        await until(lambda: first._peers.elsewhere(BOT) == 3)
        held += [asyncio.create_task(_post(session, b"{}"))]
        await until(lambda: first.queue.count(BOT) == 2)
        status, headers, _ = await _post(session, b"{}")
        assert (status, headers["x-slm-cause"]) == (503, "queue-full")
        for task in held:
            task.cancel()
        await asyncio.gather(*held, return_exceptions=True)


def bearer(key: str) -> dict[str, str]:
    return {**HEADERS, "Authorization": f"Bearer {key}"}


def refused() -> float:
    labels = {"namespace": "", "model": "", "cause": "gateways-differ"}
    return REGISTRY.get_sample_value("smallmodel_gateway_holds_refused_total", labels) or 0.0


async def test_who_comes_over_the_network_needs_the_models_key(tmp_path: Path) -> None:
    """Any pod may reach that port where no policies are enforced."""
    key = engine_key(MASTER, "uid-bot")
    before = generate_latest()
    async with (
        running(tmp_path, schedule=0.0, container=0.0, load=0.0) as (ports, activator, _),
        aiohttp.ClientSession() as session,
    ):
        url = f"http://127.0.0.1:{activator.bound}/v1/chat/completions"
        wrong = [HEADERS, bearer(""), bearer(engine_key(MASTER, "uid-other")), bearer(engine_key(b"", "uid-bot"))]
        said, at_first = set(), refused()
        wrong += [{**bearer(key), "x-slm-target": "support/none"}, {**HEADERS, "Authorization": "Bearer ä"}]
        for headers in wrong:
            async with session.post(url, headers=headers, data=b"{}") as answer:
                said.add(
                    (answer.status, answer.headers["Retry-After"], answer.headers["x-slm-cause"], await answer.text())
                )
        ((status, again, cause, text),) = said  # nobody learns here which models there are
        # An application reads it where gateways hear of a model moments apart: clients do not try again after a 401.
        assert (status, again, cause) == (503, "1", "gateways-differ")
        assert json.loads(text)["error"]["code"] == "unavailable"
        assert refused() == at_first + len(wrong)
        assert (ports.asked, len(activator.queue), activator.held()) == (0, 0, {})
        assert b"support" not in b"".join(set(generate_latest().splitlines()) - set(before.splitlines()))
        async with session.post(url, headers=bearer(key), data=b"{}") as answer:
            assert (answer.status, answer.headers["x-slm-activated"]) == (503, "1")
        assert ports.wakes == [BOT]


@pytest.mark.parametrize("unknown", ["master", "models"])
async def test_before_keys_can_be_told_another_gateways_envoy_is_sent_on_unheld(tmp_path: Path, unknown: str) -> None:
    master = b"" if unknown == "master" else MASTER
    async with (
        running(tmp_path, master=master, complete=False) as (ports, activator, _),
        aiohttp.ClientSession() as session,
    ):
        if unknown == "models":
            ports.models.clear()
        url = f"http://127.0.0.1:{activator.bound}/v1/chat/completions"
        async with session.post(url, headers=bearer(engine_key(master, "uid-bot"))) as answer:
            assert (answer.status, answer.headers["x-slm-activated"]) == (503, "1")
        assert (ports.asked, len(activator.queue)) == (0, 0)


async def test_only_gateways_learn_what_is_held(tmp_path: Path) -> None:
    async with running(tmp_path) as (_, activator, _), aiohttp.ClientSession() as session:
        url = f"http://127.0.0.1:{activator.bound}"
        for key in ("", engine_key(MASTER, "uid-bot"), peer_key(b"")):
            async with session.get(url + "/held", headers={"Authorization": f"Bearer {key}"}) as answer:
                assert answer.status == 401
        async with session.get(url + "/held", headers={"Authorization": f"Bearer {peer_key(MASTER)}"}) as answer:
            assert await answer.json() == {"held": {}}
        async with session.get(url + "/health") as answer:
            assert answer.status == 200
    async with (
        running(tmp_path, master=b"") as (_, activator, _),
        aiohttp.ClientSession() as session,
        session.get(
            f"http://127.0.0.1:{activator.bound}/held", headers={"Authorization": f"Bearer {peer_key(b'')}"}
        ) as answer,
    ):
        assert answer.status == 401, "what is made of no master everybody can make"


async def test_probes_tell_nothing_from_loading_from_ready() -> None:
    async def engine(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = await reader.readline()
        assert line == b"GET /health HTTP/1.1\r\n"
        writer.write(b"HTTP/1.1 %d x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" % code)
        await writer.drain()
        writer.close()

    code = 503
    server = await asyncio.start_server(engine, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with HttpProbe() as probe:
        found = [await probe(Endpoint("127.0.0.1", port))]
        code = 200
        found.append(await probe(Endpoint("127.0.0.1", port)))
        server.close()
        await server.wait_closed()
        found.append(await probe(Endpoint("127.0.0.1", port)))
    assert [a.name for a in found] == ["LOADING", "READY", "NOTHING"]


async def _post(
    session: aiohttp.ClientSession, body: bytes | AsyncIterator[bytes]
) -> tuple[int, dict[str, str], bytes]:
    data = io.BytesIO(body) if isinstance(body, bytes) else body
    async with session.post(URL, data=data, headers=HEADERS) as answer:
        return answer.status, dict(answer.headers), await answer.read()
