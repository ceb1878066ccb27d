"""The activator's HTTP: reads headers and answers; what arrives of a body is counted and dropped (Envoy keeps it).

Reading on is needed all the same: only so is it noticed that a client has gone.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from aiohttp import web

from smallmodel_operator.gateway.activate import metrics
from smallmodel_operator.gateway.activate.peers import PATH
from smallmodel_operator.gateway.activate.queue import Outcome
from smallmodel_operator.gateway.activate.returns import Sending
from smallmodel_operator.gateway.activate.trust import Verdict

if TYPE_CHECKING:
    from smallmodel_operator.gateway.activate.activator import Activator, Waiting

TARGET: Final = "x-slm-target"
NAMESPACE: Final = "x-slm-caller-namespace"
ACTIVATED: Final = "x-slm-activated"
ATTEMPT: Final = "x-envoy-attempt-count"
"""Set by Envoy, which drops a caller's."""
DIFFER: Final = "gateways-differ"
HEADER_BYTES: Final = 128 * 1024
"""More than Envoy lets through (60 KiB)."""
KEEPALIVE_SECONDS: Final = 7200
"""Longer than Envoy's (an hour), so that it is never us who closes a connection while a request is on its way."""


@dataclass(frozen=True, slots=True)
class Listeners:
    """Where to listen: `socket` for the own Envoy, `host` and `port` (0: any) for the others."""

    socket: Path
    host: str | None
    port: int


@asynccontextmanager
async def serve(activator: "Activator", listeners: Listeners) -> AsyncIterator[int]:
    """Listen inside the context; gives the TCP port."""

    def handler(foreign: bool) -> web.Server:
        async def handle(request: web.BaseRequest) -> web.StreamResponse:
            return await _handle(activator, request, foreign)

        return web.Server(
            handle,
            access_log=None,
            handler_cancellation=True,
            keepalive_timeout=KEEPALIVE_SECONDS,
            max_line_size=HEADER_BYTES,
            max_field_size=HEADER_BYTES,
            lingering_time=1.0,
        )

    # Held requests are cut at once at the end: their Envoys then turn to another gateway.
    own = web.ServerRunner(handler(foreign=False), shutdown_timeout=0.05)
    others = web.ServerRunner(handler(foreign=True), shutdown_timeout=0.05)
    try:
        await own.setup()
        await others.setup()
        await web.UnixSite(own, str(listeners.socket), backlog=1024).start()
        await web.TCPSite(others, listeners.host, listeners.port, backlog=1024).start()
        yield others.addresses[0][1]
    finally:
        await asyncio.gather(own.cleanup(), others.cleanup())


async def _handle(activator: "Activator", request: web.BaseRequest, foreign: bool) -> web.StreamResponse:
    target = request.headers.get(TARGET, "")
    if target:
        verdict = activator.trust.envoy(target, _shown(request)) if foreign else Verdict.TRUSTED
        if verdict is Verdict.UNKNOWN:  # unheld, and the marker makes that Envoy try again
            return web.Response(status=503, headers={ACTIVATED: "1"})
        return await _hold(activator, request, target, foreign) if verdict is Verdict.TRUSTED else _unsure()
    if request.path == "/health":  # Envoy's health check of this host, with the path it asks models for
        return web.Response(text="ok")
    if request.path == PATH:
        if foreign and activator.trust.peer(_shown(request)) is not Verdict.TRUSTED:
            return _stranger()
        return web.json_response({"held": activator.queue.counts()})
    return _error(400, f"no {TARGET} header", None)


def _shown(request: web.BaseRequest) -> str:
    return request.headers.get("Authorization", "")


def _unsure() -> web.Response:
    """A stranger, or an Envoy that knows a model moments before or after us: then an application reads this answer.

    It says the same of every model, and whether there is one. Names that strangers make up do not get into metrics.
    """
    metrics.REFUSED.labels("", "", DIFFER).inc()
    message = "The gateways do not know the same of this model yet; try again in 1 s."
    headers = {"x-slm-cause": DIFFER, "Retry-After": "1"}
    return _error(503, message, "unavailable", "server_error", headers)


def _stranger() -> web.Response:
    return _error(401, "only other gateways are answered here", "not_a_gateway")


def _error(
    status: int,
    message: str,
    code: str | None,
    kind: str = "invalid_request_error",
    headers: Mapping[str, str] | None = None,
) -> web.Response:
    error = {"message": message, "type": kind, "param": None, "code": code}
    return web.json_response({"error": error}, status=status, headers=headers)


def _sending(headers: Mapping[str, str]) -> Sending:
    attempt = headers.get(ATTEMPT, "")
    return Sending(headers.get("x-request-id", ""), int(attempt) if attempt.isdecimal() else 0)


async def _hold(activator: "Activator", request: web.BaseRequest, target: str, foreign: bool) -> web.Response:
    caller, size = request.headers.get(NAMESPACE, ""), request.content_length or 0
    waiting = activator.enter(target, caller, size, foreign, _sending(request.headers))
    if isinstance(waiting, Outcome):
        return _refused(activator, target, waiting)
    dropping = asyncio.create_task(_drop(activator, request, waiting)) if request.can_read_body else None
    try:
        outcome = await waiting.ended
    finally:
        if dropping is not None:
            dropping.cancel()
        activator.leave(waiting)
    if outcome is Outcome.RELEASED:
        return web.Response(status=503, headers={ACTIVATED: "1"})
    return _refused(activator, target, outcome, waiting.ticket.since)


def _refused(activator: "Activator", target: str, outcome: Outcome, since: float | None = None) -> web.Response:
    refusal = activator.refusal(target, outcome, since)
    return web.Response(status=refusal.status, headers=dict(refusal.headers), body=refusal.body)


async def _drop(activator: "Activator", request: web.BaseRequest, waiting: "Waiting") -> None:
    size = 0
    with suppress(OSError, web.HTTPException):  # a connection that breaks ends the handler, too
        async for chunk in request.content.iter_any():
            size += len(chunk)
            if size > waiting.ticket.size:
                activator.grew(waiting, size)
