"""Counters of pods' energy and processor time, as Prometheus has scraped them of Kepler and of kubelets.

Kepler from 0.10 on, whose series carry the pod's uid; its older releases name other metrics, and are not read.
"""

import asyncio
import math
import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, Protocol

from smallmodel_operator.cluster.breaker import Breaker
from smallmodel_operator.cluster.scraped import EXPORTED, WHOLE_SECONDS, NoAnswer, Vector, samples
from smallmodel_operator.core.energy import GPU, Meter, Meters

KEPLER: Final = "kepler_pod_cpu_joules_total"
KEPLER_GPU: Final = "kepler_pod_gpu_joules_total"
CPU: Final = "container_cpu_usage_seconds_total"
MOST: Final = 1e15
"""Joules or seconds; more is no counter of a pod."""
LONGEST: Final = 8000
"""Characters of namespaces in a question; with more all namespaces are asked for."""


@dataclass(frozen=True, slots=True)
class PodIdentity:
    """A pod as Prometheus knows it: Kepler by its uid, kubelets by its name."""

    uid: str
    namespace: str
    name: str


class Server(Protocol):
    """Prometheus itself: cluster.prometheus has it."""

    url: str

    def query(self, text: str, at: float | None = None) -> Vector: ...

    def close(self) -> None: ...


def queries(namespaces: Collection[str], match: Mapping[str, str]) -> tuple[str, str]:
    """PromQL: of Kepler, and of kubelets. A pod or container that is scraped twice, or ends, has several series, of
    which the largest tells of all; the sum would not."""
    own = "".join(f',{label}="{value}"' for label, value in sorted(match.items()))
    some = "|".join(sorted(namespaces))
    where = some if len(some) <= LONGEST else ".+"
    kepler = f'{{__name__=~"{KEPLER}|{KEPLER_GPU}",pod_namespace=~"{where}"{own}}}'
    labels = [p + label for label in ("namespace", "pod", "container") for p in ("", EXPORTED)]
    cpu = " or ".join(
        f'{CPU}{{{p}namespace=~"{where}",{p}container!="",{p}container!="POD"{own}}}' for p in ("", EXPORTED)
    )
    return f"max by (__name__, pod_id, zone) ({kepler})", f"max by ({', '.join(labels)}) ({cpu})"


def meters(kepler: Vector, cpu: Vector, pods: Collection[PodIdentity]) -> dict[str, Meter]:
    """Counters of these pods; one of whom nothing is said is not there.

    Raises:
        NoAnswer: one is no vector.
    """
    joules: dict[str, dict[str, int]] = {}
    for labels, _, value in samples(kepler):
        zone = GPU if labels.get("__name__") == KEPLER_GPU else labels.get("zone", "")
        if zone and (amount := _millionths(value)) is not None:
            joules.setdefault(labels.get("pod_id", ""), {})[zone] = amount
    times: dict[tuple[str, str], dict[str, int]] = {}
    for labels, _, value in samples(cpu):
        namespace, pod, container = (
            labels.get(EXPORTED + name) or labels.get(name, "") for name in ("namespace", "pod", "container")
        )
        if container and (amount := _millionths(value)) is not None:
            times.setdefault((namespace, pod), {})[container] = amount
    found = {p.uid: Meter(joules.get(p.uid, {}), times.get((p.namespace, p.name), {})) for p in pods if p.uid}
    return {uid: meter for uid, meter in found.items() if meter != Meter()}


def _millionths(value: float) -> int | None:
    return round(value * 1e6) if math.isfinite(value) and 0 <= value <= MOST else None


class EnergyMeters:
    """Asks `server`, in one thread of its own; at most two questions at a time, however many pods there are."""

    def __init__(self, server: Server, match: Mapping[str, str], clock: Callable[[], float] = time.monotonic) -> None:
        self._server, self._match, self._clock = server, match, clock
        self._breaker = Breaker()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="energy")
        self._running: asyncio.Future[Meters] | None = None
        self.problem = ""
        """Why nothing is known; the same words while the reason stays; empty: all is well."""

    async def read(self, pods: Collection[PodIdentity]) -> Meters:
        """What the counters of these pods say now; nothing where nobody answers."""
        now = self._clock()
        if not pods or not self._breaker.closed(now):
            return {}
        if self._running is not None and not self._running.done():
            return self._failed("no answer in time")
        self._running = asyncio.get_running_loop().run_in_executor(self._thread, self._asked, pods)
        try:
            async with asyncio.timeout(WHOLE_SECONDS):
                found = await asyncio.shield(self._running)
        except TimeoutError:
            return self._failed("no answer in time")
        except NoAnswer as error:
            return self._failed(str(error))
        self._breaker, self.problem = Breaker(), ""
        return found

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)
        self._server.close()

    def _asked(self, pods: Collection[PodIdentity]) -> Meters:
        """In the thread. Kubelets are asked where Kepler does not speak of every pod."""
        of_kepler, of_kubelets = queries({p.namespace for p in pods}, self._match)
        kepler = self._server.query(of_kepler)
        found = meters(kepler, (), pods)
        if all(p.uid in found for p in pods):
            return found
        return meters(kepler, self._server.query(of_kubelets), pods)

    def _failed(self, why: str) -> Meters:
        self._breaker = self._breaker.failed(self._clock())
        self.problem = f"energy is estimated by what pods request: Prometheus at {self._server.url}: {why}"
        return {}
