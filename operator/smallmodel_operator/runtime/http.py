"""The operator's HTTP port: /healthz, /readyz, /metrics. Followers answer too, or they would be restarted."""

from collections.abc import Callable

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest


async def serve(port: int, healthy: Callable[[], bool], before_scrape: Callable[[], None]) -> web.AppRunner:
    """Listen on all addresses; the returned runner is cleaned up by the caller."""

    async def health(_: web.Request) -> web.Response:
        return (
            web.Response(text="ok")
            if healthy()
            else web.Response(status=503, text="the watches or the renewal of the lease do not run")
        )

    async def metrics(_: web.Request) -> web.Response:
        before_scrape()
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.add_routes([web.get("/healthz", health), web.get("/readyz", health), web.get("/metrics", metrics)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, None, port).start()
    return runner
