"""A fake Kepler and a fake kubelet: pages of /metrics in their wire formats, with counters set by hand.

Kepler as its releases from 0.10 on write it (names and labels of its metrics guide); `gpu` as those of 2026 do. Zones
overlap as on hardware: a package has core and uncore in it.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web


@dataclass
class KeplerPod:
    """Joules by zone; `gpu`: None where Kepler counts no GPUs. `state`: `running` or `terminated`."""

    name: str
    namespace: str
    zones: dict[str, float] = field(default_factory=dict)
    gpu: float | None = None
    state: str = "running"


@dataclass
class FakeKepler:
    """Pods by uid."""

    pods: dict[str, KeplerPod] = field(default_factory=dict)
    node: str = "n"

    def text(self) -> str:
        cpu, gpu = [], []
        for uid, pod in self.pods.items():
            who = f'pod_id="{uid}",pod_name="{pod.name}",pod_namespace="{pod.namespace}",state="{pod.state}"'
            node = f'node_name="{self.node}"'
            cpu += [
                f'kepler_pod_cpu_joules_total{{{node},{who},zone="{zone}"}} {joules!r}'
                for zone, joules in pod.zones.items()
            ]
            if pod.gpu is not None:
                gpu.append(f"kepler_pod_gpu_joules_total{{{node},{who}}} {pod.gpu!r}")
        return _page(
            ("kepler_pod_cpu_joules_total", "Energy consumption of cpu at pod level in joules", cpu),
            ("kepler_pod_gpu_joules_total", "Energy consumption of gpu at pod level in joules", gpu),
        )


@dataclass
class FakeKubelet:
    """/metrics/cadvisor: seconds of processor time by (namespace, pod, container)."""

    seconds: dict[tuple[str, str, str], float] = field(default_factory=dict)

    def text(self) -> str:
        lines = []
        for (namespace, pod, container), seconds in self.seconds.items():
            for name in (container, ""):  # the pod's own cgroup stands beside its containers'
                where = (
                    f'container="{name}",cpu="total",id="/kubepods/{pod}/{name}",namespace="{namespace}",pod="{pod}"'
                )
                lines.append(f"container_cpu_usage_seconds_total{{{where}}} {seconds!r}")
        return _page(("container_cpu_usage_seconds_total", "Cumulative cpu time consumed in seconds.", lines))


def _page(*metrics: tuple[str, str, Iterable[str]]) -> str:
    lines = []
    for name, help_, samples in metrics:
        lines += [f"# HELP {name} {help_}", f"# TYPE {name} counter", *samples]
    return "\n".join(lines) + "\n"


class Served:
    """One of them on a port of its own."""

    def __init__(self, page: Any) -> None:
        self._page = page
        self._runner: web.AppRunner | None = None

    async def start(self) -> str:
        async def metrics(_: web.Request) -> web.Response:
            return web.Response(text=self._page.text())

        app = web.Application()
        app.router.add_get("/metrics", metrics)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        return f"127.0.0.1:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
