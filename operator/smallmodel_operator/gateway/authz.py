"""Envoy's ext_authz over plain HTTP on a Unix socket: the request comes with its own method, path and body."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from aiohttp import web

HEADER_BYTES: Final = 128 * 1024
KEEPALIVE_SECONDS: Final = 7200
"""Longer than Envoy's, so that it is never us who closes a connection while a request is on its way."""


@asynccontextmanager
async def answering(
    handle: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]], socket: Path
) -> AsyncIterator[None]:
    """Answer inside the context.

    Raises:
        OSError: the socket cannot be made.
    """
    server = web.Server(
        handle,
        access_log=None,
        auto_decompress=False,  # what is looked at is what is sent on
        handler_cancellation=True,
        keepalive_timeout=KEEPALIVE_SECONDS,
        max_line_size=HEADER_BYTES,
        max_field_size=HEADER_BYTES,
    )
    # An answer that is cut is none: Envoy refuses its request.
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
