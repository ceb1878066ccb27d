"""Envoy's ext_authz over plain HTTP on a Unix socket: the request comes with its own method, path and whole body."""

import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from aiohttp import web

from smallmodel_operator.gateway.egress.checker import Asked, Checker
from smallmodel_operator.gateway.egress.words import PASS, TARGET

HEADER_BYTES: Final = 128 * 1024
KEEPALIVE_SECONDS: Final = 7200
"""Longer than Envoy's, so that it is never us who closes a connection while a request is on its way."""


def milliseconds() -> int:
    """Since 1970."""
    return time.time_ns() // 1_000_000


@asynccontextmanager
async def serve(checker: Checker, socket: Path, clock: Callable[[], int] = milliseconds) -> AsyncIterator[None]:
    """Answer inside the context.

    Raises:
        OSError: the socket cannot be made.
    """

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        asked = _asked(request, await request.content.read())
        found = checker.answer(asked, clock())
        return web.Response(status=found.status, headers=dict(found.headers), body=found.body)

    server = web.Server(
        handle,
        access_log=None,
        auto_decompress=False,  # what is checked is what is sent on
        handler_cancellation=True,
        keepalive_timeout=KEEPALIVE_SECONDS,
        max_line_size=HEADER_BYTES,
        max_field_size=HEADER_BYTES,
    )
    runner = web.ServerRunner(server, shutdown_timeout=0.05)
    try:
        await runner.setup()
        _remove(socket)
        await web.UnixSite(runner, str(socket), backlog=1024).start()
        os.chmod(socket, 0o600)
        yield
    finally:
        await runner.cleanup()
        _remove(socket)


def _remove(socket: Path) -> None:
    socket.unlink(missing_ok=True)


def _asked(request: web.BaseRequest, body: bytes) -> Asked:
    headers = request.headers
    return Asked(
        request.method,
        request.raw_path,
        _only(headers.getall("x-request-id", [])),
        _only(headers.getall(TARGET, [])),
        _only(headers.getall(PASS, [])),
        body,
    )


def _only(values: list[str]) -> str:
    """Of a header that comes twice nobody can say which one counts."""
    return values[0] if len(values) == 1 else ""
