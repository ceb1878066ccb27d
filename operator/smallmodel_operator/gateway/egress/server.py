"""Where the egress's Envoy asks whether a request may leave, with its whole body."""

import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from smallmodel_operator.gateway.authz import CheckRequest, CheckResponse, answering
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

    async def handle(request: CheckRequest) -> CheckResponse:
        found = checker.answer(_asked(request), clock())
        return CheckResponse(found.status, found.headers, found.body)

    async with answering(handle, socket):
        yield


def _asked(request: CheckRequest) -> Asked:
    return Asked(
        request.method,
        request.path,
        _only(request.all("x-request-id")),
        _only(request.all(TARGET)),
        _only(request.all(PASS)),
        request.body,
    )


def _only(values: Sequence[str]) -> str:
    """Of a header that comes twice nobody can say which one counts."""
    return values[0] if len(values) == 1 else ""
