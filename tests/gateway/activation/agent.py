"""An agent with everything real but Kubernetes: discovery, activator, Envoy's files. Run as a process of its own.

What an API server would say is asked of the stage (see stage.py) every 10 ms.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
from hack.envoy.binary import bodies

from smallmodel_operator.core.keys import Identity
from smallmodel_operator.gateway.activate.activator import Activator
from smallmodel_operator.gateway.config import prepare
from smallmodel_operator.gateway.discovery import Discovery
from smallmodel_operator.gateway.files import Files, dump
from smallmodel_operator.gateway.scale import NotWoken
from smallmodel_operator.gateway.state import Access, Endpoint, Model, State
from smallmodel_operator.gateway.xds.renderer import EnvoyRenderer
from smallmodel_operator.gateway.xds.site import Site

WATCH_SECONDS = 0.01
MASTER = b"m" * 32


class StagePorts:
    """The activator's ports, with the stage as the cluster."""

    def __init__(self, config: dict[str, Any], session: aiohttp.ClientSession) -> None:
        self.config = config
        self.session = session
        known = config["model"]
        self.one = Model(access=Access(frozenset({f"ns:{known['namespace']}"})), **known)
        self.site = Site(
            folder=Path(config["folder"]),
            data=Path(config["folder"]),
            address=config["address"],
            bodies=bodies(),
            http_port=config["http_port"],
            activator_port=config["activator_port"],
        )
        self.renderer = EnvoyRenderer(self.site)
        self.discovery = Discovery(Path(self.site.xds_socket))
        self.seen: tuple[Endpoint, ...] = ()
        self.proved: set[str] = set()

    def state(self) -> State:
        usable = self.usable(self.one.target)
        return State(
            models={self.one.target: self.one},
            endpoints={self.one.target: usable} if usable else {},
            keys={sha: Identity(*who) for sha, who in self.config["keys"].items()},
            engine_master=MASTER,
            peers=tuple(self.config["peers"]),
        )

    def write(self) -> None:
        files = Files(self.site.folder)
        prepare(files, self.renderer)
        files.write_all({name: dump(value) for name, value in self.renderer.everything(self.state()).items()})

    def tell(self) -> None:
        _, value = self.renderer.endpoints(self.state(), self.one.target)
        self.discovery.put({self.one.target: value})

    async def watch(self) -> None:
        while True:
            with suppress(aiohttp.ClientError):
                async with self.session.get(self.config["stage"] + "/endpoints") as answer:
                    now = tuple(Endpoint(**e) for e in await answer.json())
                if now != self.seen:
                    self.seen = now
                    self.proved &= {e.address for e in now if not e.ready}
                    self.tell()
            await asyncio.sleep(WATCH_SECONDS)

    def synced(self) -> bool:
        return True

    def model(self, target: str) -> Model | None:
        return self.one if target == self.one.target else None

    def usable(self, target: str) -> tuple[Endpoint, ...]:
        return tuple(replace(e, ready=True) for e in self.seen if e.ready or e.address in self.proved)

    def not_ready(self, target: str) -> tuple[Endpoint, ...]:
        return tuple(e for e in self.seen if not e.ready)

    def peers(self) -> tuple[str, ...]:
        return tuple(self.config["peers"])

    def operator_asks(self) -> bool:
        return False

    async def wake(self, target: str) -> bool:
        try:
            async with self.session.post(self.config["stage"] + "/wake") as answer:
                return bool((await answer.json())["woken"])
        except aiohttp.ClientError as error:
            raise NotWoken(str(error)) from error

    async def publish(self, target: str, endpoints: Sequence[Endpoint]) -> bool:
        self.proved |= {e.address for e in endpoints}
        self.tell()
        return await self.settled(target)

    async def settled(self, target: str) -> bool:
        return await self.discovery.settled(target, 0.05)


async def main(config: dict[str, Any]) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with aiohttp.ClientSession() as session:
        ports = StagePorts(config, session)
        ports.write()
        ports.tell()
        await ports.discovery.start()
        socket, port = Path(ports.site.agent_socket), config["activator_port"]
        activator = Activator(ports, socket, port, lambda: MASTER, host=config["address"])
        tasks = [asyncio.create_task(activator.run()), asyncio.create_task(ports.watch())]
        await activator.listening.wait()
        (ports.site.folder / "agent.pid").write_text(str(os.getpid()))
        await stop.wait()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await ports.discovery.stop()


if __name__ == "__main__":
    asyncio.run(main(json.loads(Path(sys.argv[1]).read_text())))
