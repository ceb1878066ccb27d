"""The agent of one gateway as a process that a test can kill: `python -m … KUBECONFIG NAMESPACE NAME FOLDER PORT`.

All that the product has, but for the addresses of pods: whatever an EndpointSlice says, they are on a port of
loopback, for the API server takes no loopback address. The egress is there, too: what would leave is answered there.
"""

import asyncio
import signal
import sys
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from kubernetes.aio import config as kubernetes_config
from kubernetes.aio.client import Configuration
from tests.fakes.recording import counted_of
from tests.gateway.running import here

from smallmodel_operator.cluster.client import Client
from smallmodel_operator.cluster.fence import Fence
from smallmodel_operator.gateway.accesslog.part import read_log
from smallmodel_operator.gateway.agent import Agent
from smallmodel_operator.gateway.decide.part import choose
from smallmodel_operator.gateway.record.part import record
from smallmodel_operator.gateway.settings import GatewaySettings
from smallmodel_operator.gateway.state import Endpoint, State
from smallmodel_operator.gateway.xds import EnvoyRenderer


class Renderer(EnvoyRenderer):
    """See above."""

    def __init__(self, folder: Path, port: int) -> None:
        super().__init__(here(folder / "run", data=folder))
        self._port = port

    def endpoints(self, state: State, target: str) -> tuple[str, Any]:
        moved = tuple(replace(e, address="127.0.0.1", port=self._port) for e in state.endpoints.get(target, ()))
        egress = (Endpoint("127.0.0.1", self._port),)
        return super().endpoints(replace(state, endpoints={**state.endpoints, target: moved}, egress=egress), target)

    def leaks(self, state: State, files: Mapping[str, Any], target: str = "") -> list[str]:
        return []

    def strangers(self, state: State, upstreams: Mapping[str, frozenset[tuple[str, int]]]) -> list[str]:
        return []


def settings(namespace: str, name: str, folder: Path) -> GatewaySettings:
    """Of a gateway with all its files in one folder."""
    return GatewaySettings(
        gateway_dir=folder / "run", gateway_data_dir=folder, namespace=namespace, identity=name,
        watch_namespaces=(namespace,), gateway_http_port=0, gateway_activator_port=0, gateway_drain_seconds=0,
    )  # fmt: skip


async def main(kubeconfig: str, namespace: str, name: str, folder: Path, port: int) -> int:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    configuration = Configuration()
    await kubernetes_config.load_kube_config(config_file=kubeconfig, client_configuration=configuration)
    client = Client(configuration, Fence.open())
    counted = counted_of(folder)
    parts = (partial(read_log, counted=counted), partial(record, counted=counted), choose)
    try:
        return await Agent(settings(namespace, name, folder), client, Renderer(folder, port)).run(stop, parts)
    finally:
        await client.close()


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3], Path(sys.argv[4]), int(sys.argv[5]))))
