"""Where Envoy asks for decisions."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

from smallmodel_operator.gateway.authz import answering
from smallmodel_operator.gateway.decide.answer import CHOSEN, Answer
from smallmodel_operator.gateway.decide.service import Call, Deciding
from smallmodel_operator.gateway.xds.decide import CALLER, MOST_BODY
from smallmodel_operator.gateway.xds.words import PLACE, ROUTE
from smallmodel_operator.routing.asked import Request
from smallmodel_operator.routing.declared import LABEL_HEADER


@asynccontextmanager
async def serve(deciding: Deciding, socket: Path) -> AsyncIterator[None]:
    """Answer inside the context.

    Raises:
        OSError: the socket cannot be made.
    """

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        return _response(await deciding.decide(call(request, await request.content.read())))

    async with answering(handle, socket):
        yield


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
    return Call(
        headers.get(ROUTE, "").partition("|")[0].lstrip("+"),
        headers.get(CALLER, ""),
        headers.get("x-request-id", ""),
        asked,
        headers.get(CHOSEN, ""),
        said=headers.getall(LABEL_HEADER, []),
        place=headers.get(PLACE, ""),
    )


def _response(answer: Answer) -> web.Response:
    return web.Response(status=answer.status, headers=dict(answer.headers), body=answer.body)
