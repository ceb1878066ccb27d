"""Somebody outside: an HTTPS server on loopback that counts every byte that reaches it.

It answers by keys of the body: `fake_stream` (numbers of chunks, `fake_pause` seconds apart), `fake_close` (the
connection is closed without an answer), `fake_silent` (seconds before it says anything), `fake_status`,
`fake_usage` (what it says that it used), `fake_break` (chunks after which the connection is closed). What `does` has of
these counts for every request.
"""

import asyncio
import json
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp.web_protocol import RequestHandler
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from tests.fakes.upstream import Asked


class Authority:
    """Who signs certificates. `file` is its own, as PEM."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        self._folder, self._key = folder, ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        made = self._made(self._name, self._key).add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        self.file = folder / f"{name}.crt"
        self.file.write_bytes(made.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))

    def _made(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(self._name).public_key(key.public_key())
        builder = builder.serial_number(x509.random_serial_number())
        return builder.not_valid_before(now - timedelta(hours=1)).not_valid_after(now + timedelta(hours=1))

    def certify(self, host: str) -> ssl.SSLContext:
        """What a server of this name shows."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName([x509.DNSName(host)])
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
        made = self._made(subject, key).add_extension(names, False).sign(self._key, hashes.SHA256())
        path = self._folder / f"{host}-{made.serial_number:x}.pem"
        secret = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        path.write_bytes(made.public_bytes(serialization.Encoding.PEM) + secret)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context


@dataclass(slots=True)
class Outside:
    """One server on a free port, in its own thread."""

    tls: ssl.SSLContext
    port: int = 0
    asked: list[Asked] = field(default_factory=list)
    bytes: int = 0
    """Of all requests, heads and bodies, as they came out of TLS."""
    cut: list[float] = field(default_factory=list)
    """When answers were cut by who asked, on the clock that never goes back."""
    does: dict[str, Any] = field(default_factory=dict)
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)
    _thread: threading.Thread | None = None

    def start(self) -> "Outside":
        ready = threading.Event()

        async def serve() -> None:
            self._server = web.Server(self._answer, access_log=None, handler_cancellation=True)
            self._made = await self._listen(0)
            self.port = self._made.sockets[0].getsockname()[1]
            ready.set()
            try:
                await asyncio.Event().wait()
            finally:
                self._made.close()
                await self._server.shutdown(0.1)

        def run() -> None:
            asyncio.set_event_loop(self._loop)
            self._task = self._loop.create_task(serve())
            with suppress(asyncio.CancelledError):
                self._loop.run_until_complete(self._task)
            self._loop.close()

        self._thread = threading.Thread(target=run, daemon=True, name="outside")
        self._thread.start()
        assert ready.wait(10), "the server outside did not start"
        return self

    _task: Any = None
    _made: Any = None
    _server: Any = None

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._task.cancel)
        if self._thread is not None:
            self._thread.join(10)

    @contextmanager
    def refusing(self) -> Iterator[None]:
        """Inside it takes no connections, and those it had are cut; then it is there again."""

        async def shut() -> None:
            self._made.close()
            for connection in list(self._server.connections):
                if connection.transport is not None:
                    connection.transport.abort()

        async def open_() -> None:
            self._made = await self._listen(self.port)

        asyncio.run_coroutine_threadsafe(shut(), self._loop).result(10)
        try:
            yield
        finally:
            asyncio.run_coroutine_threadsafe(open_(), self._loop).result(10)

    async def _listen(self, port: int) -> asyncio.Server:
        return await self._loop.create_server(lambda: _counting(self, self._server), "127.0.0.1", port, ssl=self.tls)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.content.read()  # of any size
        self.asked.append(Asked(request.method, request.raw_path, dict(request.headers), body))
        wanted = (json.loads(body) if body else {}) | self.does
        if wanted.get("fake_close"):
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        await asyncio.sleep(wanted.get("fake_silent", 0))
        extra = {"Set-Cookie": "a=b", "Location": "https://elsewhere.example/", "X-Ratelimit-Remaining-Tokens": "7"}
        if "fake_stream" not in wanted:
            usage = {"usage": wanted["fake_usage"]} if "fake_usage" in wanted else {}
            return web.json_response(
                {"served_by": "outside", **usage}, status=wanted.get("fake_status", 200), headers=extra
            )
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        try:
            for number in range(wanted["fake_stream"]):
                await response.write(f"data: {number}\n\n".encode())
                if number + 1 == wanted.get("fake_break"):
                    assert request.transport is not None
                    request.transport.abort()
                await asyncio.sleep(wanted.get("fake_pause", 0))
        except (asyncio.CancelledError, ConnectionError):
            self.cut.append(time.monotonic())
            raise
        await response.write_eof()
        return response


def _counting(outside: Outside, server: web.Server) -> RequestHandler:
    class Counting(RequestHandler):
        __slots__ = ()

        def data_received(self, data: bytes) -> None:
            outside.bytes += len(data)
            super().data_received(data)

    return Counting(server, loop=outside._loop, access_log=None)
