"""Questions of Envoy's over a real Unix socket: however they are cut, whatever they are, and who is not answered."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from smallmodel_operator.gateway import authz
from smallmodel_operator.gateway.authz import CheckRequest, CheckResponse, answering, written
from smallmodel_operator.gateway.state import LARGEST_BODY_BYTES

ASKED = (
    b"POST /v1/chat/completions?a=b HTTP/1.1\r\nHost: decide\r\nX-Data-Label: public\r\nx-data-label:  \xc3\xa4 \r\n"
    b"content-length: 5\r\n\r\nhello"
)
SEEN = CheckRequest(
    "POST",
    "/v1/chat/completions?a=b",
    {"host": ["decide"], "x-data-label": ["public", "ä"], "content-length": ["5"]},
    b"hello",
)


class Asker:
    """Answers, and remembers what was asked."""

    def __init__(self) -> None:
        self.seen: list[CheckRequest] = []
        self.asked, self.cancelled = asyncio.Event(), asyncio.Event()
        self.says = CheckResponse(200, {"x-slm-target": "small"}, b"yes")
        self.wait: asyncio.Event | None = None

    async def __call__(self, request: CheckRequest) -> CheckResponse:
        self.seen.append(request)
        self.asked.set()
        try:
            if self.wait is not None:
                await self.wait.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return self.says


Wire = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def asked(folder: Path, asker: Asker) -> AsyncIterator[Wire]:
    async with answering(asker, folder / "s"):
        reader, writer = await asyncio.open_unix_connection(str(folder / "s"))
        try:
            yield reader, writer
        finally:
            writer.close()


async def answer(wire: Wire, data: bytes) -> tuple[bytes, bytes]:
    wire[1].write(data)
    head = await wire[0].readuntil(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    return head, await wire[0].readexactly(length)


async def test_one_after_the_other_on_one_connection(tmp_path: Path) -> None:
    async with asked(tmp_path, asker := Asker()) as wire:
        assert (tmp_path / "s").stat().st_mode & 0o777 == 0o600
        for _ in range(3):
            head, body = await answer(wire, ASKED)
            assert head.startswith(b"HTTP/1.1 200 OK\r\nx-slm-target: small\r\n")
            assert body == b"yes"
    assert asker.seen == [SEEN] * 3
    assert (SEEN.header("x-data-label"), SEEN.all("x-data-label")) == ("public", ["public", "ä"])
    assert (SEEN.header("nothing"), list(SEEN.all("nothing"))) == ("", [])
    assert not (tmp_path / "s").exists()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.integers(0, len(ASKED)), max_size=6))
def test_wherever_it_is_cut_it_is_the_same(cuts: list[int]) -> None:
    async def run() -> None:
        asker = Asker()
        connection = authz._Connection(asker, set())
        connection.connection_made(transport := Transport())
        at = [0, *sorted(cuts), len(ASKED)]
        for begin, end in pairwise(at):
            connection.data_received(ASKED[begin:end])
        assert connection.task is not None
        await connection.task
        assert asker.seen == [SEEN]
        assert (transport.said, transport.ended) == (written(asker.says), False)

    asyncio.run(run())


@settings(max_examples=100, deadline=None)
@given(data=st.binary(max_size=200), at=st.integers(0, len(ASKED)), instead=st.integers(0, 200))
def test_whatever_comes_it_is_answered_ended_or_waited_for(data: bytes, at: int, instead: int) -> None:
    """Never an error out of it, and never an answer to what was not whole."""

    async def run() -> None:
        asker = Asker()
        connection = authz._Connection(asker, set())
        connection.connection_made(transport := Transport())
        connection.data_received(ASKED[:at] + data + ASKED[at + instead :])
        if connection.task is not None:
            await connection.task
        assert len(asker.seen) <= 1
        assert transport.said == (written(asker.says, bodiless=asker.seen[0].method == "HEAD") if asker.seen else b"")

    asyncio.run(run())


class Transport(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.said, self.ended = b"", False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.said += bytes(data)

    def close(self) -> None:
        self.ended = True

    def abort(self) -> None:
        self.ended = True


@pytest.mark.parametrize(
    "data",
    [
        b"nonsense\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
        b"GET /" + b"a" * authz.HEADER_BYTES + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * (authz.HEADER_BYTES // 2) + b"\r\n",
        ASKED + ASKED,
    ],
)
async def test_who_is_not_answered_sees_its_connection_closed(tmp_path: Path, data: bytes) -> None:
    asker = Asker()
    asker.wait = asyncio.Event()
    async with asked(tmp_path, asker) as (reader, writer):
        writer.write(data)
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await reader.readuntil(b"\r\n\r\n")


async def test_a_body_over_the_bound_is_not_kept() -> None:
    connection = authz._Connection(asker := Asker(), set())
    connection.connection_made(transport := Transport())
    connection.data_received(b"POST / HTTP/1.1\r\ncontent-length: 99999999999\r\n\r\n")
    piece = bytes(1 << 20)
    for _ in range(LARGEST_BODY_BYTES >> 20):
        connection.data_received(piece)
    assert not transport.ended
    connection.data_received(b"1")
    assert (transport.ended, asker.seen) == (True, [])


async def test_who_fails_answers_nothing_and_says_nothing_of_the_request(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def fails(request: CheckRequest) -> CheckResponse:
        raise ValueError(request.body)

    async with answering(fails, tmp_path / "s"):
        reader, writer = await asyncio.open_unix_connection(str(tmp_path / "s"))
        writer.write(ASKED)
        assert await reader.read() == b""
        writer.close()
    assert "ValueError" in caplog.text
    assert "hello" not in caplog.text


async def test_who_went_is_worked_for_no_longer(tmp_path: Path) -> None:
    asker = Asker()
    asker.wait = asyncio.Event()
    async with asked(tmp_path, asker) as (_, writer):
        writer.write(ASKED)
        await asyncio.wait_for(asker.asked.wait(), 20)
        writer.close()
        await asyncio.wait_for(asker.cancelled.wait(), 20)


async def test_what_takes_too_long_at_the_end_is_cut(tmp_path: Path) -> None:
    asker = Asker()
    asker.wait = asyncio.Event()
    async with asked(tmp_path, asker) as (reader, writer):
        writer.write(ASKED)
        await asyncio.wait_for(asker.asked.wait(), 20)
    assert await reader.read() == b""
    await asyncio.wait_for(asker.cancelled.wait(), 20)


def test_an_answer_as_it_is_written() -> None:
    said = CheckResponse(403, {"x-slm-cause": "kept-inside"}, b"{}")
    assert written(said) == b"HTTP/1.1 403 Forbidden\r\nx-slm-cause: kept-inside\r\ncontent-length: 2\r\n\r\n{}"
    assert written(said, bodiless=True).endswith(b"content-length: 2\r\n\r\n")
    assert written(CheckResponse(299)).startswith(b"HTTP/1.1 299 Unknown\r\n")
    for value in ("a\r\nx: y", "a\nb", "a\0b"):
        with pytest.raises(ValueError, match="line break"):
            written(CheckResponse(200, {"x": value}))
