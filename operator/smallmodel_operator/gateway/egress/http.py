"""The port of who checks: /healthz, /readyz, /metrics."""

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from smallmodel_operator.boundary.passes import LEAD_MS
from smallmodel_operator.gateway.admin import Admin
from smallmodel_operator.gateway.egress.server import milliseconds


async def serve(port: int, admin: Admin, began: int) -> web.AppRunner:
    """Listen on all addresses; the returned runner is cleaned up by the caller. `began`: milliseconds since 1970."""

    async def health(_: web.Request) -> web.Response:
        return web.Response(text="ok")

    async def ready(_: web.Request) -> web.Response:
        if milliseconds() <= began + LEAD_MS:
            return web.Response(status=503, text="passes signed until now may have been used before this began")
        return web.Response(text="ok") if await admin.ready() else web.Response(status=503, text="Envoy is not ready")

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.add_routes([web.get("/healthz", health), web.get("/readyz", ready), web.get("/metrics", metrics)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, None, port).start()
    return runner
