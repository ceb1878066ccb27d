"""What gateways say reaches the decision; silence does not pass for idleness."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from tests.fakes.apiserver import FakeApiServer
from tests.fakes.clock import Clock

from smallmodel_operator.cluster import signals as module
from smallmodel_operator.cluster.signals import ASK_SECONDS, GONE_SECONDS, Signals

MODEL = ("support", "bot")


class Gateway:
    """A fake gateway agent: only its /signals."""

    def __init__(self) -> None:
        self.answer: Any = {"models": {"support/bot": {"inFlight": 1, "held": 2, "idleSeconds": 3.5}}}
        self.status, self.asked, self.delay = 200, 0, 0.0

    async def handle(self, _: web.Request) -> web.Response:
        self.asked += 1
        await asyncio.sleep(self.delay)
        return web.json_response(self.answer, status=self.status)


@pytest.fixture
async def gateway(unused_tcp_port_factory: Any = None) -> AsyncIterator[tuple[Gateway, str]]:
    fake, app = Gateway(), web.Application()
    app.router.add_get("/signals", fake.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield fake, f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def test_a_report_is_what_the_gateway_said(gateway: tuple[Gateway, str], clock: Clock) -> None:
    fake, url = gateway
    async with FakeApiServer() as api:
        signals = Signals(api.client(), "smallmodel-system", {"g-0": url}, clock)
        report = (await signals.traffic(MODEL)).reports[0]
        assert (report.in_flight, report.held, report.idle, report.routes) == (1, 2, 3.5, True)
        await asyncio.gather(*(signals.traffic(MODEL) for _ in range(50)))
        assert fake.asked == 1, "one question answers all who ask"
        other = (await signals.traffic(("crm", "bot"))).reports[0]
        assert not other.routes
        await signals.close()


@pytest.mark.parametrize("broken", ["status", "answer", "null", "text"])
async def test_a_gateway_that_stops_answering_is_not_idle(
    gateway: tuple[Gateway, str], clock: Clock, broken: str
) -> None:
    fake, url = gateway
    async with FakeApiServer() as api:
        signals = Signals(api.client(), "smallmodel-system", {"g-0": url}, clock)
        await signals.traffic(MODEL)
        fake.status = 500 if broken == "status" else 200
        fake.answer = {"answer": {"models": []}, "null": None, "text": {"models": {"a/b": {"inFlight": "x"}}}}.get(
            broken, {}
        )
        clock.forward(60)
        traffic = await signals.traffic(MODEL)
        assert not traffic.complete
        assert traffic.reports[0].age >= 60
        await signals.close()


def slice_of(*endpoints: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {"name": "g-1", "namespace": "smallmodel-system",
                     "labels": {"kubernetes.io/service-name": "smallmodel-gateway-pods"}},
        "endpoints": list(endpoints),
    }  # fmt: skip


def endpoint(name: str, address: str, **conditions: bool) -> dict[str, Any]:
    return {"addresses": [address], "conditions": conditions, "targetRef": {"name": name}}


async def test_gateways_are_found_by_their_slices(clock: Clock) -> None:
    async with FakeApiServer() as api:
        signals = Signals(api.client(), "smallmodel-system", None, clock)
        assert not (await signals.traffic(MODEL)).reports
        api.put(slice_of(endpoint("g-0", "127.0.0.1", ready=True), endpoint("g-1", "127.0.0.2", ready=False)))
        clock.forward(ASK_SECONDS + 10)
        traffic = await signals.traffic(MODEL)
        assert [r.gateway for r in traffic.reports] == ["g-0"], "a gateway that is not ready carries nothing new"
        assert not traffic.complete, "nothing listens there: it has not spoken"
        await signals.close()


@pytest.mark.parametrize("conditions", [{"ready": False}, {"ready": False, "serving": False, "terminating": True}])
async def test_no_gateway_that_is_not_ready_is_left_out_of_a_sleep(
    gateway: tuple[Gateway, str], clock: Clock, monkeypatch: pytest.MonkeyPatch, conditions: dict[str, bool]
) -> None:
    """It drains, or its agent fails its probe, while its Envoy carries streams."""
    _, url = gateway
    monkeypatch.setattr(module, "SIGNALS_PORT", int(url.rsplit(":", 1)[1]))
    ready, leaving = endpoint("g-0", "127.0.0.1", ready=True), endpoint("g-1", "127.0.0.1", **conditions)
    async with FakeApiServer() as api:
        signals = Signals(api.client(), "smallmodel-system", None, clock)
        api.put(slice_of(ready, leaving))
        traffic = await signals.traffic(MODEL)
        assert ([r.gateway for r in traffic.reports], [r.gateway for r in traffic.leaving]) == (["g-0"], ["g-1"])
        assert traffic.complete
        assert traffic.leaving[0].in_flight == 1, "its stream is told"

        silent = endpoint("g-1", "127.0.0.2", **conditions)
        api.put(slice_of(ready, silent))
        clock.forward(60)
        assert not (await signals.traffic(MODEL)).complete, "its silence is not idleness"

        api.put(slice_of(ready))
        clock.forward(60)
        traffic = await signals.traffic(MODEL)
        assert (traffic.complete, traffic.leaving) == (True, ()), "gone for good"
        await signals.close()


async def test_a_gateway_whose_node_died_keeps_nothing_awake_for_ever(
    gateway: tuple[Gateway, str], clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its pod stays in the slices, about to end, until somebody removes it."""
    _, url = gateway
    monkeypatch.setattr(module, "SIGNALS_PORT", int(url.rsplit(":", 1)[1]))
    dead = endpoint("g-1", "127.0.0.2", ready=False, terminating=True)
    async with FakeApiServer() as api:
        signals = Signals(api.client(), "smallmodel-system", None, clock)
        api.put(slice_of(endpoint("g-0", "127.0.0.1", ready=True), dead))
        assert not (await signals.traffic(MODEL)).complete
        clock.forward(GONE_SECONDS - 10)
        assert not (await signals.traffic(MODEL)).complete, "it may drain for so long"
        clock.forward(20)
        assert (await signals.traffic(MODEL)).complete
        await signals.close()
