"""The agent's HTTP port: /healthz, /readyz, /metrics, /signals, /usage."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from smallmodel_operator.gateway.admin import Unreachable
from smallmodel_operator.gateway.exporter import OBJECTIVES

OPERATOR_SECONDS: Final = 30.0
"""An operator that has not asked for so long is taken for gone. While a model has no room it asks every 10 s."""


class Questions:
    """When somebody last asked how models stand, as an operator does that has something to decide."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._at = clock, float("-inf")

    def came(self) -> None:
        self._at = self._clock()

    def lately(self) -> bool:
        """Is there an operator? Then what it says of models is of now."""
        return self._clock() - self._at <= OPERATOR_SECONDS


@dataclass(frozen=True, slots=True)
class Readiness:
    """Does this gateway serve, and what is not as it should be (also while it serves)?"""

    ready: bool
    problems: Sequence[str] = ()

    @property
    def text(self) -> str:
        return "\n".join(("ok" if self.ready else "not ready", *self.problems)) + "\n"


async def serve(
    port: int,
    healthy: Callable[[], bool],
    readiness: Callable[[], Awaitable[Readiness]],
    signals: Callable[[], Awaitable[dict[str, Any]]],
    questions: Questions,
    before_scrape: Callable[[], Awaitable[None]],
    usage: Callable[[], dict[str, Any] | None],
) -> web.AppRunner:
    """Listen on all addresses; the returned runner is cleaned up by the caller."""

    async def health(_: web.Request) -> web.Response:
        return web.Response(text="ok") if healthy() else web.Response(status=503, text="a part of the agent ended")

    async def ready(_: web.Request) -> web.Response:
        now = await readiness()
        return web.Response(status=200 if now.ready else 503, text=now.text)

    async def metrics(_: web.Request) -> web.Response:
        await before_scrape()
        try:
            OBJECTIVES.show((await signals())["models"])
        except Unreachable:
            OBJECTIVES.show({})  # other gauges stay as they were; what replicas are decided by is not known now
        # In a thread: a thousand models that are asked take most of a second, and held requests wait meanwhile.
        text = await asyncio.to_thread(generate_latest)
        return web.Response(body=text, headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def traffic(_: web.Request) -> web.Response:
        questions.came()
        try:
            return web.json_response(await signals())
        except Unreachable as error:
            # Not knowing must never read as idle.
            return web.Response(status=503, text=str(error))

    async def counts(_: web.Request) -> web.Response:
        found = usage()
        # Nothing heard is not nothing used: whoever asks goes on with what it heard before.
        return web.json_response(found) if found is not None else web.Response(status=503, text="not known just now")

    app = web.Application()
    app.add_routes(
        [
            web.get("/healthz", health),
            web.get("/readyz", ready),
            web.get("/metrics", metrics),
            web.get("/signals", traffic),
            web.get("/usage", counts),
        ]
    )
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, None, port).start()
    return runner
