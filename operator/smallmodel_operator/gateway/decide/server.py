"""Where Envoy asks for decisions."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path

from smallmodel_operator.gateway.authz import CheckRequest, CheckResponse, answering
from smallmodel_operator.gateway.decide.answer import CHOSEN
from smallmodel_operator.gateway.decide.service import Call, Deciding
from smallmodel_operator.gateway.xds.decide import ATTEMPT, CALLER, FAILED, MOST_BODY, NAME_SAID, NAMESPACE
from smallmodel_operator.gateway.xds.judged import ANSWER, DOUBT
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
            told = _whose(whose.call, whose.name) if whose and found.status == HTTPStatus.OK else {}
            return CheckResponse(found.status, {**found.headers, **told}, found.body)
        if request.path.startswith(f"{ATTEMPT}/"):
            found, asked = await deciding.judging.attempt(request.header("x-request-id"), request.body)
            told = _whose(asked) if asked and found.status == HTTPStatus.OK else {}
            return CheckResponse(found.status, {**found.headers, **told}, found.body)
        if request.path.startswith(f"{ANSWER}/"):
            return await _judged(deciding, request)
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


def _whose(call: Call, name: str = "") -> dict[str, str]:
    """What a request that comes in at an inner door has lost on its way there. `name`: of its model, where the body has
    another by now."""
    told = {ROUTE: f"+{call.route}", CALLER: call.caller, NAMESPACE: call.namespace, NAME_SAID: name}
    return {name: value for name, value in told.items() if value}


async def _judged(deciding: Deciding, request: CheckRequest) -> CheckResponse:
    """What becomes of an answer."""
    token = request.path.removeprefix(f"{ANSWER}/")
    found = await deciding.judging.judge(token, request.header("content-type"), request.body)
    if found is None:
        return CheckResponse(HTTPStatus.NOT_FOUND)
    doubt = {DOUBT: "doubted"} if found.doubt else {}
    return CheckResponse(HTTPStatus.OK, {**found.headers, **doubt}, found.body)
