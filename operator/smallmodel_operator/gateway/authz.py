"""Envoy's ext_authz over plain HTTP on a Unix socket: the request comes with its own method, path and body.

A protocol of our own over httptools: a web framework's share was a third of all that a decision took.
"""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Final, cast

import httptools

from smallmodel_operator.gateway.state import LARGEST_BODY_BYTES

HEADER_BYTES: Final = 128 * 1024
"""Of a request's path and headers; who sends more is not answered."""
LAST_SECONDS: Final = 0.05
"""How long answers that are under way are waited for at the end. One that is cut is none: Envoy refuses its request."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CheckRequest:
    """A request Envoy asks about. `path`: as it stands in the request line, query included. Headers by lower case."""

    method: str
    path: str
    headers: Mapping[str, Sequence[str]]
    body: bytes

    def header(self, name: str) -> str:
        """The first of this name; empty: there is none."""
        found = self.headers.get(name)
        return found[0] if found else ""

    def all(self, name: str) -> Sequence[str]:
        """The values of all headers of this name."""
        return self.headers.get(name, ())


@dataclass(frozen=True, slots=True)
class CheckResponse:
    """What Envoy is told: 200, and it goes on with these headers; anything else is the caller's answer."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


Handle = Callable[[CheckRequest], Awaitable[CheckResponse]]


@asynccontextmanager
async def answering(handle: Handle, socket: Path) -> AsyncIterator[None]:
    """Answer inside the context. A request that is not HTTP, too large or whose handling fails gets no answer: its
    connection is closed. The handling of a request whose connection ends is cancelled.

    Raises:
        OSError: the socket cannot be made.
    """
    open_now: set[_Connection] = set()
    _remove(socket)
    loop = asyncio.get_running_loop()
    server = await loop.create_unix_server(partial(_Connection, handle, open_now), str(socket), backlog=1024)
    try:
        os.chmod(socket, 0o600)
        yield
    finally:
        server.close()
        _remove(socket)
        if working := [c.task for c in open_now if c.task is not None]:
            await asyncio.wait(working, timeout=LAST_SECONDS)
        for connection in list(open_now):
            connection.end()


class _Connection(asyncio.Protocol):
    """One connection of Envoy's: a request, its answer, the next request. It is never us who close it between two."""

    def __init__(self, handle: Handle, open_now: "set[_Connection]") -> None:
        self._handle, self._open_now = handle, open_now
        self.task: asyncio.Task[None] | None = None
        self._parser = httptools.HttpRequestParser(self)
        self._begin()

    def _begin(self) -> None:
        self._url: list[bytes] = []
        self._headers: dict[str, list[str]] = {}
        self._body: list[bytes] = []
        self._header_bytes = self._body_bytes = 0

    # -- asyncio's ---------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # of uvloop it is none by its class
        self._open_now.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        self._open_now.discard(self)
        if self.task is not None:
            self.task.cancel()

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except Exception as error:  # what is not HTTP, too much of it, or before its turn; it may quote the request
            logger.error("a question of Envoy's is not answered: %s", type(error.__context__ or error).__name__)
            self.end()

    def end(self) -> None:
        """Close it, whatever is under way."""
        self._transport.abort()

    # -- the parser's ------------------------------------------------------------------------------------------

    def on_url(self, part: bytes) -> None:
        self._count(part)
        self._url.append(part)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(name, value)
        self._headers.setdefault(_text(name).lower(), []).append(_text(value.strip(b" \t")))

    def on_body(self, part: bytes) -> None:
        self._body_bytes += len(part)
        if self._body_bytes > LARGEST_BODY_BYTES:
            raise ValueError("a body over the bound")
        self._body.append(part)

    def on_message_complete(self) -> None:
        if self.task is not None:
            raise ValueError("two requests at a time")
        method, path = _text(self._parser.get_method()), _text(b"".join(self._url))
        request = CheckRequest(method, path, self._headers, b"".join(self._body))
        keep = self._parser.should_keep_alive()
        self._begin()
        self.task = asyncio.get_running_loop().create_task(self._answer(request, keep=keep))

    def _count(self, *parts: bytes) -> None:
        self._header_bytes += sum(map(len, parts))
        if self._header_bytes > HEADER_BYTES:
            raise ValueError("headers over the bound")

    async def _answer(self, request: CheckRequest, *, keep: bool) -> None:
        with suppress(asyncio.CancelledError):
            try:
                answer = await self._handle(request)
                self._transport.write(written(answer, bodiless=request.method == "HEAD"))
            except Exception as error:  # the error may quote the request: its kind alone is told
                logger.error("a question of Envoy's is not answered: %s", type(error).__name__)
                keep = False
            self.task = None
            if not keep:
                self._transport.close()


def written(answer: CheckResponse, *, bodiless: bool = False) -> bytes:
    """As it goes over the wire.

    Raises:
        ValueError: a header would be two.
    """
    lines = [f"HTTP/1.1 {answer.status} {_PHRASES.get(answer.status, 'Unknown')}"]
    lines += [f"{name}: {value}" for name, value in answer.headers.items()]
    lines.append(f"content-length: {len(answer.body)}")
    if any("\r" in line or "\n" in line or "\0" in line for line in lines):
        raise ValueError("a line break in a header")
    head = "\r\n".join(lines).encode("utf-8", "surrogateescape") + b"\r\n\r\n"
    return head if bodiless else head + answer.body


def _remove(socket: Path) -> None:
    socket.unlink(missing_ok=True)


_PHRASES: Final = {status.value: status.phrase for status in HTTPStatus}


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")
