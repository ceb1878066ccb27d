"""Envoy's ext_authz over plain HTTP on a Unix socket: the request comes with its own method, path and body."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from aiohttp import web

from smallmodel_operator.gateway.decide.answer import Answer
from smallmodel_operator.gateway.decide.service import Call, Deciding
from smallmodel_operator.gateway.xds.decide import CALLER, MOST_BODY
from smallmodel_operator.gateway.xds.words import ROUTE
from smallmodel_operator.routing.asked import Request

HEADER_BYTES: Final = 128 * 1024
KEEPALIVE_SECONDS: Final = 7200
"""Longer than Envoy's, so that it is never us who closes a connection while a request is on its way."""


@asynccontextmanager
async def serve(deciding: Deciding, socket: Path) -> AsyncIterator[None]:
    """Answer inside the context.

    Raises:
        OSError: the socket cannot be made.
    """

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        return _response(await deciding.decide(call(request, await request.content.read())))

    server = web.Server(
        handle,
        access_log=None,
        auto_decompress=False,  # what is looked at is what is sent on
        handler_cancellation=True,
        keepalive_timeout=KEEPALIVE_SECONDS,
        max_line_size=HEADER_BYTES,
        max_field_size=HEADER_BYTES,
    )
    # A decision that is cut is none: Envoy refuses its request.
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


def call(request: web.BaseRequest, body: bytes) -> Call:
    """What Envoy asks. A body as long as the longest that is sent here may go on: that is nobody's to say."""
    headers = request.headers
    asked = Request(
        path=request.rel_url.raw_path,
        body=body,
        whole=len(body) < MOST_BODY,
        content_type=headers.get("content-type", ""),
        content_encoding=headers.get("content-encoding", ""),
    )
    route = headers.get(ROUTE, "").partition("|")[0].lstrip("+")
    return Call(route, headers.get(CALLER, ""), headers.get("x-request-id", ""), asked)


def _response(answer: Answer) -> web.Response:
    return web.Response(status=answer.status, headers=dict(answer.headers), body=answer.body)
