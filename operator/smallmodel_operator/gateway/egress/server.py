"""Where the egress's Envoy asks whether a request may leave, with its whole body."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

from smallmodel_operator.gateway.authz import answering
from smallmodel_operator.gateway.egress.checker import Asked, Checker
from smallmodel_operator.gateway.egress.words import PASS, TARGET


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

    async with answering(handle, socket):
        yield


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
