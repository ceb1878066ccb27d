"""A real Prometheus scrapes a fake Kepler and a fake kubelet, and the operator reads pods' counters from it."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from hack.cluster import prometheus
from tests.fakes.kepler import FakeKepler, FakeKubelet, KeplerPod, Served
from tests.gateway.test_scraped import Counted, Real

from smallmodel_operator.cluster.energy_meters import EnergyMeters, PodIdentity
from smallmodel_operator.core.energy import Meter, Meters
from smallmodel_operator.energy.meter import Place, drawn

SECONDS = 60
PODS = [
    PodIdentity("u-1", "support", "bot-1"),
    PodIdentity("u-2", "support", "bot-2"),
    PodIdentity("u-3", "crm", "bot-1"),
]


@pytest.fixture
async def scraped(tmp_path: Path) -> AsyncIterator[tuple[FakeKepler, FakeKubelet, Counted, Real]]:
    try:
        prometheus.program()
    except prometheus.Missing as missing:
        pytest.skip(f"no Prometheus: {missing}")
    kepler, kubelet = FakeKepler(), FakeKubelet()
    served = [Served(kepler), Served(kubelet)]
    addresses = [await one.start() for one in served]
    jobs = [
        {"job_name": "kepler", "static_configs": [{"targets": [addresses[0]]}]},
        # Twice, as two monitors of one exporter do: nothing may count twice.
        {"job_name": "kepler-again", "static_configs": [{"targets": [addresses[0]]}]},
        {"job_name": "kubelet", "honor_labels": True,
         "static_configs": [{"targets": [addresses[1]], "labels": {"namespace": "kube-system"}}]},
    ]  # fmt: skip
    file = tmp_path / "prometheus.yml"
    file.write_text(
        yaml.safe_dump({"global": {"scrape_interval": "1s", "scrape_timeout": "1s"}, "scrape_configs": jobs})
    )
    real = Real(tmp_path, file)
    try:
        real.start()
        yield kepler, kubelet, Counted(f"http://{real.address}"), real
    finally:
        real.kill()
        for one in served:
            await one.stop()


async def until(meters: EnergyMeters, check: Callable[[Meters], bool], what: str) -> Meters:
    end = time.monotonic() + SECONDS
    while True:
        found = await meters.read(PODS)
        if check(found):
            return found
        assert time.monotonic() < end, f"{what}: {found} {meters.problem}"
        await asyncio.sleep(0.1)


async def test_energy_and_processor_time_of_our_pods_come_through_prometheus(
    scraped: tuple[FakeKepler, FakeKubelet, Counted, Real],
) -> None:
    kepler, kubelet, server, real = scraped
    bot = KeplerPod("bot-1", "support", {"package": 100.5, "core": 80.0, "uncore": 5.0, "dram": 20.25})
    kepler.pods = {
        "u-1": bot,
        "u-9": replace(bot, namespace="others"),
    }
    kubelet.seconds = {("support", "bot-1", "engine"): 7.5, ("support", "bot-2", "engine"): 3.25}
    meters = EnergyMeters(server, {})
    places = [Place(pod.uid, f"{pod.namespace}/bot", 400, 4000) for pod in PODS]
    try:
        first = await until(meters, lambda m: {"u-1", "u-2"} <= m.keys() and bool(m["u-1"].joules), "known")
        zones = {"package": 100_500_000, "core": 80_000_000, "uncore": 5_000_000, "dram": 20_250_000}
        assert first == {"u-1": Meter(zones, {"engine": 7_500_000}), "u-2": Meter({}, {"engine": 3_250_000})}

        bot.zones = {"package": 110.5, "core": 88.0, "uncore": 6.0, "dram": 22.25}
        kubelet.seconds["support", "bot-2", "engine"] = 5.25
        later = await until(
            meters, lambda m: m["u-1"].joules["dram"] > 22_000_000 and m["u-2"].cpu["engine"] > 5_000_000, "moved"
        )
        found = drawn(places, first, later, 30_000_000)
        assert found.models == {"support/bot": {"Kepler": 12 * 10**12, "CpuSeconds": 200 * 10**12}}
        assert found.pods == {"u-1", "u-2"}, "nobody speaks of the third: its share is charged"

        for uid, pod in {"u-2": "bot-2", "u-3": "bot-1"}.items():
            kepler.pods[uid] = KeplerPod(pod, "support", {"package": 1.0}, gpu=2.5)
        found_all = await until(meters, lambda m: len(m) == 3 and bool(m["u-2"].joules), "all")
        assert found_all["u-3"].joules == {"package": 1_000_000, "gpu": 2_500_000}
        asked = server.asked
        await meters.read(PODS)
        assert server.asked == asked + 1, "kubelets are asked only where Kepler does not speak of a pod"

        del kepler.pods["u-1"]
        gone = await until(meters, lambda m: "u-1" not in m or not m["u-1"].joules, "gone from Kepler")
        assert gone["u-1"] == Meter({}, {"engine": 7_500_000}), "absent is not zero"
        real.kill()
        assert await until(meters, lambda m: not m, "killed") == {}
        assert meters.problem.endswith(f"Prometheus at http://{real.address}: no connection")
    finally:
        meters.close()
