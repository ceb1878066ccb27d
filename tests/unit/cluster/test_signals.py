"""What gateways say reaches the decision; silence does not pass for idleness."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from tests.fakes.apiserver import FakeApiServer
from tests.fakes.clock import Clock, until

from smallmodel_operator.autoscaling.prompts import BINS
from smallmodel_operator.cluster import signals as module
from smallmodel_operator.cluster.client import ApiError
from smallmodel_operator.cluster.signals import ASK_SECONDS, GONE_SECONDS, Signals
from smallmodel_operator.core.traffic import Counts, Judged, Tally, Usage

MODEL = ("support", "bot")


class Gateway:
    """A fake gateway agent: its /signals and /usage."""

    def __init__(self) -> None:
        self.answer: Any = {"models": {"support/bot": {"inFlight": 1, "held": 2, "idleSeconds": 3.5}}}
        self.status, self.asked, self.delay = 200, 0, 0.0
        self.counted: Any = {}

    async def handle(self, _: web.Request) -> web.Response:
        self.asked += 1
        await asyncio.sleep(self.delay)
        return web.json_response(self.answer, status=self.status)

    async def usage(self, _: web.Request) -> web.Response:
        return web.json_response(self.counted)


@pytest.fixture
async def gateway(unused_tcp_port_factory: Any = None) -> AsyncIterator[tuple[Gateway, str]]:
    fake, app = Gateway(), web.Application()
    app.router.add_get("/signals", fake.handle)
    app.router.add_get("/usage", fake.usage)
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


@contextmanager
def deaf() -> Iterator[tuple[str, Callable[[], int]]]:
    """A dead node's address: who asks there hears nothing. With the number of questions since it was last looked at."""
    with socket.create_server(("127.0.0.2", 0), backlog=64) as listener:
        listener.setblocking(False)

        def asked() -> int:
            number = 0
            with suppress(BlockingIOError):
                while True:
                    listener.accept()[0].close()
                    number += 1
            return number

        yield f"http://127.0.0.2:{listener.getsockname()[1]}", asked


async def test_a_gateway_that_does_not_answer_keeps_nobody_waiting(gateway: tuple[Gateway, str], clock: Clock) -> None:
    """Every pass of every model asks: with a dead gateway each would take the whole time a question may take."""
    fake, url = gateway
    with deaf() as (dead, asked):
        async with FakeApiServer() as api:
            signals = Signals(api.client(), "smallmodel-system", {"g-0": url, "g-1": dead}, clock)
            assert not (await signals.traffic(MODEL)).complete, "waited for once: it may only be slow"
            began, rounds = time.monotonic(), 10
            for number in range(rounds):
                clock.forward(ASK_SECONDS + 1)
                fake.answer = {"models": {"support/bot": {"inFlight": number, "held": 0, "idleSeconds": 0}}}
                traffic = await signals.traffic(MODEL)
                assert traffic.reports[0].in_flight == number, "who answers is heard now"
                assert not traffic.complete, "its silence is not idleness"
            assert time.monotonic() - began < rounds * module.TIMEOUT.total / 3  # type: ignore[operator]
            assert 1 < asked() < rounds, "it is asked again, one question at a time"
            await signals.close()


async def test_a_gateway_that_answers_again_is_heard_at_once(gateway: tuple[Gateway, str], clock: Clock) -> None:
    fake, url = gateway
    async with FakeApiServer() as api:
        signals = Signals(api.client(), "smallmodel-system", {"g-0": url}, clock)
        fake.status = 503
        assert not (await signals.traffic(MODEL)).complete
        fake.status = 200
        clock.forward(ASK_SECONDS + 1)
        assert (await signals.traffic(MODEL)).complete
        fake.delay = 3 * module.SILENT_SECONDS
        clock.forward(60)
        assert (await signals.traffic(MODEL)).complete, "one that answers slowly is waited for"
        await signals.close()


async def test_a_gateway_that_is_gone_is_asked_no_more(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    with deaf() as (dead, asked):
        async with FakeApiServer() as api:
            monkeypatch.setattr(module, "SIGNALS_PORT", int(dead.rsplit(":", 1)[1]))
            monkeypatch.setattr(module, "TIMEOUT", aiohttp.ClientTimeout(total=0.05))
            signals = Signals(api.client(), "smallmodel-system", None, clock)
            api.put(slice_of(endpoint("g-1", "127.0.0.2", ready=False, terminating=True)))
            await signals.traffic(MODEL)
            assert asked() == 1
            clock.forward(GONE_SECONDS - 10)
            await signals.traffic(MODEL)
            assert asked() == 1, "it may drain for so long"
            for _ in range(3):
                clock.forward(20)
                assert not (await signals.traffic(MODEL)).leaving
            assert asked() == 0
            await signals.close()


async def test_the_last_gateway_that_goes_and_the_first_that_comes_are_told_though_nobody_asks(
    gateway: tuple[Gateway, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Models at rest ask for minutes not; each change between none and some is told once, and no other one is."""
    _, url = gateway
    monkeypatch.setattr(module, "SIGNALS_PORT", int(url.rsplit(":", 1)[1]))
    monkeypatch.setattr(module, "WHO_SECONDS", 0.01)
    one, two = endpoint("g-0", "127.0.0.1", ready=True), endpoint("g-1", "127.0.0.1", ready=True)
    gone = endpoint("g-0", "127.0.0.1", ready=False, serving=True, terminating=True)
    told: list[bool] = []
    async with FakeApiServer() as api:
        api.put(slice_of(one))
        signals = Signals(api.client(), "smallmodel-system", None)
        signals.turned = lambda: told.append(True)

        async def lists(number: int) -> None:
            seen = len(api.sent)
            await until(lambda: len(api.sent) >= seen + number)

        task = asyncio.create_task(signals.follow())
        await lists(2)
        api.put(slice_of(one, two))
        await lists(2)
        assert told == [], "neither the first look nor one gateway more is news to a model"
        api.put(slice_of(gone))
        await until(lambda: len(told) == 1)
        assert not (await signals.traffic(MODEL)).reports, "and what is told then is what was seen"
        await lists(2)
        api.put(slice_of(one))
        await until(lambda: len(told) == 2)
        assert (await signals.traffic(MODEL)).complete, "who is there again is asked at once"
        await lists(2)
        task.cancel()
        await signals.close()
    assert len(told) == 2


async def test_an_api_server_that_is_away_turns_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WHO_SECONDS", 0.01)
    told: list[bool] = []
    async with FakeApiServer() as api:
        api.put(slice_of(endpoint("g-0", "127.0.0.1", ready=True)))
        signals = Signals(api.client(), "smallmodel-system", None)
        signals.turned = lambda: told.append(True)
        task = asyncio.create_task(signals.follow())
        await until(lambda: api.sent)
        real = signals._client.list
        asked = 0

        async def away(*_: Any, **__: Any) -> Any:
            nonlocal asked
            asked += 1
            raise ApiError(503, "ServiceUnavailable", "away") if asked % 2 else RuntimeError("a bug")

        monkeypatch.setattr(signals._client, "list", away)
        await until(lambda: asked >= 4)
        assert told == [], "nobody knows that they are gone"
        monkeypatch.setattr(signals._client, "list", real)
        api.put(slice_of())
        await until(lambda: told)
        task.cancel()
        await signals.close()


OBJECTIVE = {
    "epoch": "17.0", "firstTokenSeconds": 0.5, "ended": 9, "counted": 8, "good": 7, "whole": 6, "promptTokens": 240,
    "generatedTokens": 180, "decodeSeconds": 1.5, "decodeTokens": 174, "prompts": {"9": 5, "11": 1},
    "interToken": {"seconds": 0.06, "counted": 6, "good": 5}, "endToEnd": {"seconds": 0.0, "counted": 0, "good": 0},
    "written": {"7": 6},
}  # fmt: skip


async def test_what_a_gateway_counted_against_the_objective(gateway: tuple[Gateway, str], clock: Clock) -> None:
    fake, url = gateway
    base = {"inFlight": 1, "held": 0, "idleSeconds": 0}
    fake.answer = {"models": {"support/bot": {**base, "objective": OBJECTIVE}, "crm/bot": base}}
    async with FakeApiServer() as api:
        signals = Signals(api.client(), "smallmodel-system", {"g-0": url}, clock)
        counts = (await signals.traffic(MODEL)).reports[0].counts
        assert counts is not None
        expected = Counts("17.0", 0.5, 9, 8, 7, 6, 240, 180, 1.5, 174, counts.prompts, Judged(0.06, 6, 5))
        assert counts == replace(expected, written=counts.written)
        assert counts.written[7] == sum(counts.written) == 6
        assert (len(counts.prompts), sum(counts.prompts), counts.prompts[9]) == (BINS, 6, 5)
        assert (await signals.traffic(("crm", "bot"))).reports[0].counts is None, "absent is not zero"
        await signals.close()


@pytest.mark.parametrize(
    "wrong",
    [{"prompts": {"999": 1}}, {"ended": None}, {"prompts": []}, {"good": "x"}, {"interToken": {}}, {"endToEnd": None}],
)
async def test_counts_that_cannot_be_read_are_silence(
    gateway: tuple[Gateway, str], clock: Clock, wrong: dict[str, Any]
) -> None:
    fake, url = gateway
    base = {"inFlight": 1, "held": 0, "idleSeconds": 0}
    fake.answer = {"models": {"support/bot": {**base, "objective": {**OBJECTIVE, **wrong}}}}
    async with FakeApiServer() as api:
        signals = Signals(api.client(), "smallmodel-system", {"g-0": url}, clock)
        assert not (await signals.traffic(MODEL)).complete
        await signals.close()


@pytest.mark.parametrize("broken", [{}, {"epoch": 5, "models": {"a/b": [1, 2]}}, {"epoch": "x", "models": {}}, []])
async def test_usage_is_what_each_gateway_counted_and_silence_is_left_out(
    gateway: tuple[Gateway, str], broken: Any
) -> None:
    fake, url = gateway
    async with FakeApiServer() as api:
        signals = Signals(api.client(), "smallmodel-system", {"g-0": url, "g-1": "http://127.0.0.1:1"})
        fake.counted = {"epoch": 5, "models": {"support/bot": [1, 20, 3]}}
        assert await signals.usage() == {"g-0": Tally(5, {"support/bot": Usage(1, 20, 3)})}
        fake.counted = broken
        assert await signals.usage() == {}
        await signals.close()
