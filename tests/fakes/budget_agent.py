"""The counting half of a gateway's agent as a process: `python -m … KUBECONFIG NAMESPACE NAME FOLDER`.

Asked over the socket `FOLDER/agent.sock`, as Envoy asks. It may be killed, and goes on with its folder when it is back.
"""

import asyncio
import signal
import sys
from pathlib import Path
from typing import Final

from aiohttp import web
from kubernetes.aio import config as kubernetes_config
from kubernetes.aio.client import Configuration

from smallmodel_operator.budget.counter import counter_of
from smallmodel_operator.budget.need import Asked
from smallmodel_operator.budget.purse import key
from smallmodel_operator.cluster import shared
from smallmodel_operator.cluster.budgets import Registers
from smallmodel_operator.cluster.client import Client
from smallmodel_operator.cluster.fence import Fence
from smallmodel_operator.gateway.budget.counting import Counting
from smallmodel_operator.gateway.budget.journal import Journal
from smallmodel_operator.gateway.budget.settling import Settling

SOCKET: Final = "agent.sock"
TARGET: Final = "desk/front/bot"
"""`slm.route` of the lines of the log."""


async def main(kubeconfig: str, namespace: str, name: str, folder: Path) -> None:
    shared.ANSWER_SECONDS = 20.0  # type: ignore[misc]  # busy machines are slow machines
    configuration = Configuration()
    await kubernetes_config.load_kube_config(config_file=kubeconfig, client_configuration=configuration)
    client = Client(configuration, Fence.open())
    journal = Journal(folder)
    journal.open()
    counting = Counting(name, journal, Registers(client, namespace))
    settling = Settling(folder / "access.log", journal)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)

    async def reserve(request: web.Request) -> web.Response:
        asked = await request.json()
        needs = {counter_of(name): Asked(amount, limit) for name, amount, limit in asked["needs"]}
        refused = await counting.reserve(key(asked["id"], TARGET), needs)
        return web.Response(status=429, text=refused.why) if refused else web.Response()

    async def running(_: web.Request) -> web.Response:
        return web.json_response(len(counting.purse.reservations))

    app = web.Application()
    app.add_routes([web.post("/reserve", reserve), web.get("/running", running)])
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    (folder / SOCKET).unlink(missing_ok=True)
    await web.UnixSite(runner, str(folder / SOCKET)).start()
    works = [asyncio.create_task(work) for work in (counting.run(), settling.run())]
    await stop.wait()
    await runner.cleanup()
    for work in works:
        work.cancel()
    await asyncio.gather(*works, return_exceptions=True)
    journal.close()
    await client.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3], Path(sys.argv[4])))
