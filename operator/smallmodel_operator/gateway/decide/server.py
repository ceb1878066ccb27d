"""Where Envoy asks for decisions."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path

from smallmodel_operator.gateway.authz import CheckRequest, CheckResponse, answering
from smallmodel_operator.gateway.decide.answer import CHOSEN
from smallmodel_operator.gateway.decide.let_out import LetOut
from smallmodel_operator.gateway.decide.service import Call, Deciding
from smallmodel_operator.gateway.xds.decide import CALLER, FAILED, MOST_BODY, NAME_SAID, NAMESPACE
from smallmodel_operator.gateway.xds.words import ADAPTER, PLACE, ROUTE
from smallmodel_operator.routing.asked import Request
from smallmodel_operator.routing.deadline import HEADER as DEADLINE
from smallmodel_operator.routing.declared import LABEL_HEADER


@asynccontextmanager
async def serve(deciding: Deciding, socket: Path) -> AsyncIterator[None]:
    """Answer inside the context.

    Raises:
        OSError: the socket cannot be made.
    """

    async def handle(request: CheckRequest) -> CheckResponse:
        if request.path.startswith(f"{FAILED}/"):
            found, whose = await deciding.instead(request.header("x-request-id"), request.body)
            told = _whose(whose) if whose and found.status == HTTPStatus.OK else {}
            return CheckResponse(found.status, {**found.headers, **told}, found.body)
        found = await deciding.decide(call(request))
        return CheckResponse(found.status, found.headers, found.body)

    async with answering(handle, socket):
        yield


def call(request: CheckRequest) -> Call:
    """What Envoy asks. A body as long as the longest that is sent here may go on: that is nobody's to say."""
    header = request.header
    asked = Request(
        path=request.path.partition("?")[0],
        body=request.body,
        whole=len(request.body) < MOST_BODY,
        content_type=header("content-type"),
        content_encoding=header("content-encoding"),
        adapter=header(ADAPTER),
        deadline=",".join(request.all(DEADLINE)),
    )
    return Call(
        header(ROUTE).partition("|")[0].lstrip("+"),
        header(CALLER),
        header("x-request-id"),
        asked,
        header(CHOSEN),
        said=request.all(LABEL_HEADER),
        place=header(PLACE),
        namespace=header(NAMESPACE),
    )


def _whose(out: LetOut) -> dict[str, str]:
    """What a request that comes back in has lost on its way out."""
    told = {ROUTE: f"+{out.call.route}", CALLER: out.call.caller, NAMESPACE: out.call.namespace, NAME_SAID: out.name}
    return {name: value for name, value in told.items() if value}
