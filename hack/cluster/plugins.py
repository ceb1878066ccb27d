"""What gives pods addresses and enforces policies: a bridge with the test bed's own enforcer, or Calico itself."""

import json
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from hack.cluster import calico, node_config, process
from hack.cluster.binaries import ensure
from hack.cluster.controlplane import NotReady
from hack.cluster.paths import REPOSITORY

if TYPE_CHECKING:
    from hack.cluster.node import Node

READY_SECONDS: Final = 60


class Plugin(Protocol):
    """`component`: the name its process is recorded under; `tools`, `packages`: what has to be there first."""

    component: str
    tools: tuple[str, ...]
    packages: dict[str, str]

    def configuration(self) -> dict[str, Any]:
        """The CNI configuration list."""

    def folders(self) -> tuple[str, ...]:
        """Where else CNI programs lie."""

    def start(self) -> None:
        """Start what is not running; the node is registered by then."""

    def enforce(self, wanted: bool) -> None:
        """Let policies count, or be stored and ignored as by a plugin that enforces none; returns once it is so."""


@dataclass(slots=True)
class Bridge:
    """A bridge enforces nothing; the test bed's own enforcer stands in for a network plugin."""

    node: "Node"
    component: str = "netpol"
    tools: tuple[str, ...] = ()

    @property
    def packages(self) -> dict[str, str]:
        return {}

    def configuration(self) -> dict[str, Any]:
        return node_config.bridge(self.node.addresses.pods, self.node.folder)

    def folders(self) -> tuple[str, ...]:
        return ()

    def start(self) -> None:
        addresses = self.node.addresses
        words = ("python3", "-m", "hack.cluster.netpol", str(self.node.kubeconfig), addresses.node, addresses.host)
        self.node.start(self.component, *words, env={"PYTHONPATH": str(REPOSITORY)})

    def enforce(self, wanted: bool) -> None:
        table = ("table", "ip", "slm_netpol")
        if not wanted:
            process.stop(self.component, self.node.folder)
            self._nft("delete", *table).check_returncode()
            return
        self.start()
        _until(lambda: self._nft("list", *table).returncode == 0, 30, self.component, self.node.folder)

    def _nft(self, *words: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run([*self.node.prefix, "nft", *words], capture_output=True)


@dataclass(slots=True)
class Calico:
    """Calico's own Felix and CNI program beside kube-proxy: what decides about a packet is Calico's."""

    node: "Node"
    component: str = "calico-felix"
    tools: tuple[str, ...] = ("calico",)

    @property
    def packages(self) -> dict[str, str]:
        return dict(calico.NEEDED)

    def configuration(self) -> dict[str, Any]:
        return calico.conflist(self.node.folder, self.node.addresses, self.node.kubeconfig, node_config.NODE)

    def folders(self) -> tuple[str, ...]:
        return (str(ensure("calico")),)

    def start(self) -> None:
        if process.pid_of(self.component, self.node.folder) is not None:
            return
        kubectl, addresses = self.node.kubectl, self.node.addresses
        kubectl("apply", "--server-side", "-f", str(calico.definitions()))
        kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")
        kubectl("apply", "--server-side", "-f", "-", stdin=calico.ready())
        # As Calico's own addresses would have it: what goes to a pod that is gone stays here.
        subprocess.run([*self.node.prefix, "ip", "route", "replace", "blackhole", addresses.pods], check=True)
        env = calico.environment(addresses, self.node.kubeconfig, node_config.NODE)
        self.node.start(self.component, *calico.command(), env=env)
        _until(lambda: calico.answers(addresses), READY_SECONDS, self.component, self.node.folder)

    def enforce(self, wanted: bool) -> None:
        over = json.dumps(calico.EVERYTHING_GOES)
        words = ("delete", "--ignore-not-found") if wanted else ("apply", "--server-side")
        self.node.kubectl(*words, "-f", "-", stdin=over)


PLUGINS: Final[dict[str, type[Bridge] | type[Calico]]] = {"bridge": Bridge, "calico": Calico}


def plugin(name: str, node: "Node") -> Plugin:
    """The plugin of that name.

    Raises:
        RuntimeError: there is none.
    """
    if name not in PLUGINS:
        raise RuntimeError(f"CLUSTER_NETWORK={name!r} is unknown: use {' or '.join(PLUGINS)}")
    return PLUGINS[name](node)


def _until(stands: Callable[[], bool], seconds: float, component: str, folder: Path) -> None:
    end = time.monotonic() + seconds
    while not stands():
        if time.monotonic() > end or process.pid_of(component, folder) is None:
            raise NotReady(f"{component} did not come up:\n{process.log_tail(component, folder)}")
        time.sleep(0.2)
