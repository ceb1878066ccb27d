"""Many connections to a gateway on loopback that ask one request after the other, each until it is answered."""

import asyncio
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

MOST_SECONDS = 120.0
"""One request may be asked for so long, where nobody was there in time to decide or to check: a machine may be full."""
AGAIN_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Got:
    """The answer to one request, the last one where it was asked for more than once."""

    status: int
    id: str
    code: str
    """Of its error; empty: there is none."""
    degraded: str
    outside: bool
    """Who answered."""
    asked: int


class Connection:
    """One, opened anew where it was closed."""

    def __init__(self, port: int, path: str, key: str) -> None:
        self._port = port
        self._head = (
            f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {key}\r\n"
            "content-type: application/json\r\ncontent-length: "
        )
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        """Raises OSError or EOFError where there is no whole answer; then nobody knows what came of the request."""
        try:
            if self._streams is None:
                self._streams = await asyncio.open_connection("127.0.0.1", self._port)
            reader, writer = self._streams
            writer.write(self._head.encode() + b"%d\r\n\r\n" % len(body) + body)
            lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (x.partition(":") for x in lines[1:] if x)}
            answer = await reader.readexactly(int(headers["content-length"]))
        except BaseException:
            self.close()
            raise
        if headers.get("connection") == "close":
            self.close()
        return int(lines[0].split(" ")[1]), headers, answer

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
        self._streams = None


async def asked(connections: Sequence[Connection], bodies: Sequence[bytes], told: Callable[[], None]) -> list[Got]:
    """Their answers, in their order. `told`: called for each.

    Raises:
        TimeoutError: one of them was not answered in time.
    """
    found: list[Got | None] = [None] * len(bodies)
    waiting: Iterator[int] = iter(range(len(bodies)))

    async def one(connection: Connection) -> None:
        for number in waiting:
            async with asyncio.timeout(MOST_SECONDS):
                found[number] = await _until_answered(connection, bodies[number])
            told()
        connection.close()

    async with asyncio.TaskGroup() as tasks:
        for connection in connections:
            tasks.create_task(one(connection))
    return [got for got in found if got is not None]


async def _until_answered(connection: Connection, body: bytes) -> Got:
    count = 0
    while True:
        count += 1
        status, headers, answer = await connection.ask(body)
        code = json.loads(answer)["error"]["code"] if status >= 400 else ""
        if status != 503:
            outside = status < 400 and json.loads(answer)["served_by"] == "outside"
            return Got(status, headers["x-request-id"], code, headers.get("x-slm-degraded", ""), outside, count)
        await asyncio.sleep(AGAIN_SECONDS)
