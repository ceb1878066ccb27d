"""A real Prometheus scrapes what gateways export, and the operator hears what they would have said themselves."""

import asyncio
import subprocess
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from hack.cluster import prometheus
from hack.ports import free_port
from prometheus_client import CollectorRegistry, Info, generate_latest
from tests.unit.cluster.test_scraped import said

from smallmodel_operator.cluster.prometheus import Prometheus
from smallmodel_operator.cluster.scraped import Vector
from smallmodel_operator.cluster.scraped_signals import ScrapedSignals
from smallmodel_operator.cluster.signals import words_of
from smallmodel_operator.core.exported import epoch_number
from smallmodel_operator.core.traffic import Traffic
from smallmodel_operator.gateway.exporter import Exporter

BOT = ("support", "bot")
SECONDS = 120
MANY = 1000


class Page:
    """/metrics of one gateway: its exporter and its name."""

    def __init__(self, name: str) -> None:
        self.name, self.registry = name, CollectorRegistry()
        self.exporter = Exporter(self.registry)
        Info("smallmodel_gateway_build", "", registry=self.registry).info({"version": "1", "gateway": name})
        self.scrapes = 0
        self._runner: web.AppRunner | None = None

    async def serve(self) -> str:
        app = web.Application()
        app.router.add_get("/metrics", self._metrics)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        return f"127.0.0.1:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _metrics(self, _: web.Request) -> web.Response:
        self.scrapes += 1
        return web.Response(body=await asyncio.to_thread(generate_latest, self.registry))


class Real:
    """Prometheus as a process of its own."""

    def __init__(self, folder: Path, file: Path) -> None:
        self.address = f"127.0.0.1:{free_port()}"
        self._folder, self._file = folder, file
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self._folder / "prometheus.log").open("ab") as log:
            words = prometheus.command(self._folder, self._file, self.address)
            self._process = subprocess.Popen(words, stdout=log, stderr=log)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(30)
            self._process = None


class Counted(Prometheus):
    """The real way to it, which counts the questions."""

    asked = 0

    def query(self, text: str, at: float | None = None) -> Vector:
        self.asked += 1
        return super().query(text, at)


@pytest.fixture
async def pages() -> AsyncIterator[list[Page]]:
    made = [Page("g-0"), Page("g-1")]
    for page in made:
        page.exporter.show({"support/bot": said(ended=7, good=5, decodeSeconds=1.25, prompts={"9": 2, "55": 1})})
    yield made
    for page in made:
        await page.stop()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    try:
        prometheus.program()
    except prometheus.Missing as missing:
        pytest.skip(f"no Prometheus: {missing}")
    return tmp_path


async def until(signals: ScrapedSignals, check: Callable[[Traffic], Any], what: str) -> Traffic:
    end = time.monotonic() + SECONDS
    while True:
        await signals.ask()
        traffic = await signals.traffic(BOT)
        if check(traffic):
            return traffic
        assert time.monotonic() < end, f"{what}: {traffic}"
        await asyncio.sleep(0.1)


async def test_what_gateways_export_is_heard_and_what_is_lost_is_unknown(pages: list[Page], folder: Path) -> None:
    addresses = [(await page.serve(), page.name) for page in pages]
    real = Real(folder, prometheus.config(folder, addresses, "1s"))
    server = Counted(f"http://{real.address}")
    there = {"g-0": True, "g-1": True}
    signals = ScrapedSignals(server, lambda: there, 1.0, {}, time.monotonic)
    try:
        real.start()
        traffic = await until(signals, lambda t: t.complete, "known")
        for page, report in zip(pages, traffic.reports, strict=True):
            direct = words_of(page.exporter._models["support/bot"])
            assert (report.in_flight, report.held) == (direct["in_flight"], direct["held"])
            assert report.counts is not None
            assert report.counts.epoch == str(epoch_number(direct["counts"].epoch))
            rest = [f for f in report.counts.__slots__ if f != "epoch"]
            assert [getattr(report.counts, f) for f in rest] == [getattr(direct["counts"], f) for f in rest]

        for page in pages:
            page.exporter.show({"support/bot": said(ended=9)})
        moved = await until(signals, lambda t: t.complete and all(r.counts.ended == 9 for r in t.reports), "moved")
        assert moved.at is not None
        assert traffic.at is not None
        assert moved.at > traffic.at

        pages[1].exporter.show({})  # its Envoy does not answer: it is scraped, and has nothing to say
        lost = await until(signals, lambda t: t.reports[1].counts is None, "unknown")
        assert lost.problem.endswith("has not all series of support/bot from g-1")
        await pages[1].stop()
        lost = await until(signals, lambda t: not t.complete, "not scraped")
        assert "has no scrape of" in lost.problem
        del there["g-1"]
        assert (await until(signals, lambda t: t.complete, "one is gone")).problem == ""

        real.kill()
        lost = await until(signals, lambda t: not t.complete, "killed")
        assert lost.problem == f"Prometheus at http://{real.address} says nothing: no connection"
        real.start()
        assert (await until(signals, lambda t: t.complete, "back")).problem == ""
    finally:
        real.kill()
        signals.close()


async def test_a_thousand_models_cost_a_handful_of_questions(pages: list[Page], folder: Path) -> None:
    models = {f"team-{n % 20}/m{n}": said(ended=n, prompts={str(b): n for b in range(9, 17)}) for n in range(MANY)}
    for page in pages:
        page.exporter.show({"support/bot": said(), **models})
    addresses = [(await page.serve(), page.name) for page in pages]
    real = Real(folder, prometheus.config(folder, addresses, "5s"))
    server = Counted(f"http://{real.address}")
    signals = ScrapedSignals(server, lambda: {"g-0": True, "g-1": True}, 5.0, {}, time.monotonic)
    try:
        real.start()
        traffic = await until(signals, lambda t: t.complete, "known")
        scrapes, asked, began = pages[0].scrapes, server.asked, time.process_time()
        before = traffic.at
        await until(signals, lambda t: t.at != before, "the next look")
        spent = time.process_time() - began
        looks, asked = pages[0].scrapes - scrapes, server.asked - asked
        last = await signals.traffic((f"team-{(MANY - 1) % 20}", f"m{MANY - 1}"))
        assert last.complete
        assert [r.counts.ended for r in last.reports if r.counts is not None] == [MANY - 1] * 2
        print(f"\n{looks} scrapes, {asked} questions, {spent:.2f} s of CPU in this process, its pages included")
        assert asked <= 3 * (looks + 1) + SECONDS * 10
    finally:
        real.kill()
        signals.close()
