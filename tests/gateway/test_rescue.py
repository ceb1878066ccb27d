"""Pods that are gone, dead, silent or not there yet: what a caller notices."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from hack.ports import free_port
from tests.fakes.upstream import Engine
from tests.gateway.running import Answer, Gateway
from tests.gateway.states import SUPPORT, model, state_of

from smallmodel_operator.gateway.state import Endpoint, State

CHAT = "/v1/chat/completions"
BOT = model("support/bot", max_wait=30.0)
MUTE = model("support/mute", max_wait=0.0)
"""An idle time of SILENCE only; that of a model which may be held is longer by what it may be held."""
SILENCE = 0.6
PATIENT = model("support/patient", max_wait=3.0)
"""An idle time of 3.6 s: a busy machine may be 2.6 s late with a chunk that is due each second."""


def pods(*ports: int) -> State:
    found = {"support/bot": tuple(Endpoint(f"127.0.0.{n + 1}", port) for n, port in enumerate(ports))}
    return state_of((BOT,), {}, endpoints=found)


@pytest.fixture(scope="module")
def rescued(folder: Path, bot: Engine) -> Iterator[Gateway]:
    with Gateway(folder / "r", pods(bot.port), silence=SILENCE) as running:
        yield running


def ask(gateway: Gateway, **fields: object) -> Answer:
    return gateway.post(CHAT, {"model": "bot", **fields}, SUPPORT)


def test_a_silent_engine(rescued: Gateway, bot: Engine) -> None:
    rescued.apply(state_of((BOT, MUTE), {"support/mute": bot.port}))
    began = time.monotonic()
    answer = ask(rescued, model="mute", fake_delay=8)
    assert (answer.status, answer.headers["x-slm-cause"]) == (504, "engine-silent")
    assert answer.error["code"] == "timeout"
    assert time.monotonic() - began > SILENCE * 0.9, "timers of Envoy are coarse"


def test_a_slow_engine_that_speaks_is_not_cut(rescued: Gateway, bot: Engine) -> None:
    rescued.apply(state_of((BOT, PATIENT), {"support/patient": bot.port}))
    chunks = [f"data: {n}\n\n" for n in range(6)]
    answer = ask(rescued, model="patient", stream=True, fake_chunks=chunks, fake_pause=1.0)
    assert answer.body == "".join(chunks).encode()


def test_held_while_it_wakes(rescued: Gateway, bot: Engine) -> None:
    rescued.apply(pods())
    activator = Engine("activator", activator=True).start(rescued.site.agent_socket)
    try:
        with ThreadPoolExecutor(20) as pool:
            body = "x" * 200_000
            answers = [pool.submit(ask, rescued, fake_echo=body) for _ in range(20)]
            until = time.monotonic() + 30
            while (
                len({{k.lower(): v for k, v in a.headers.items()}["x-request-id"] for a in tuple(activator.asked)}) < 20
            ):
                assert time.monotonic() < until, "not all were held"
                time.sleep(0.01)
            time.sleep(0.2)
            rescued.apply(pods(bot.port))
            found = [answer.result(20) for answer in answers]
    finally:
        activator.stop()
    assert [a.status for a in found] == [200] * 20
    asked = activator.asked[0]
    headers = {k.lower(): v for k, v in asked.headers.items()}
    assert (headers["x-slm-target"], headers["x-slm-caller-namespace"]) == ("support/bot", "support")
    timings = [a.headers["server-timing"] for a in found]
    assert all(float(t.split("hold;dur=")[1].split(",")[0]) > 100 for t in timings), timings
    assert all("x-slm-activated" not in a.headers for a in found)


def test_another_gateways_activator_takes_over(rescued: Gateway, bot: Engine) -> None:
    """The own agent is gone: its socket refuses."""
    peer = Engine("peer", activator=True, port=rescued.site.activator_port).start()
    try:
        rescued.apply(replace(pods(), peers=("127.0.0.1",)))
        waker = threading.Timer(0.4, lambda: rescued.apply(pods(bot.port)))
        waker.start()
        assert ask(rescued).status == 200
        waker.join()
        assert peer.asked
    finally:
        peer.stop()


def test_a_dead_pod_beside_a_living_one(rescued: Gateway, bot: Engine) -> None:
    rescued.apply(state_of((BOT,), {}, endpoints={
        "support/bot": (Endpoint("127.0.0.1", bot.port), Endpoint("127.0.0.2", free_port()))
    }))  # fmt: skip
    assert [ask(rescued).status for _ in range(30)] == [200] * 30


def by_whom(gateway: Gateway) -> set[str]:
    return {ask(gateway).json["served_by"] for _ in range(40)}


def test_an_unhealthy_pod_is_left_alone(rescued: Gateway, bot: Engine) -> None:
    ill = Engine("ill").start()
    try:
        both = (Endpoint("127.0.0.1", bot.port), Endpoint("127.0.0.1", ill.port))
        rescued.apply(state_of((BOT,), {}, endpoints={"support/bot": both}))
        assert {ask(rescued).json["served_by"] for _ in range(40)} == {"bot", "ill"}
        ill.healthy = False
        rescued._eventually(lambda: by_whom(rescued) == {"bot"}, "it is left alone")
        ill.healthy = True
        rescued._eventually(lambda: by_whom(rescued) == {"bot", "ill"}, "it is asked again")
        rescued.apply(pods(bot.port))
        before = len(ill.asked)
        assert {ask(rescued).json["served_by"] for _ in range(40)} == {"bot"}
        assert len(ill.asked) == before, "left the endpoints, so no request more, however healthy"
    finally:
        ill.stop()


def test_nobody_there(rescued: Gateway) -> None:
    """Attempts go on for at least 5 s: the time another agent has to take over."""
    rescued.apply(pods(free_port()))
    began = time.monotonic()
    answer = ask(rescued)
    assert answer.status == 503
    assert answer.headers["x-slm-cause"] in ("engine-unreachable", "no-endpoint")
    assert answer.error["code"] == "unavailable"
    assert int(answer.headers["retry-after"]) >= 1
    assert time.monotonic() - began >= 5


def test_models_come_and_go(rescued: Gateway, bot: Engine) -> None:
    rescued.apply(state_of((BOT, model("support/new")), {"support/bot": bot.port, "support/new": bot.port}))
    assert rescued.post(CHAT, {"model": "new"}, SUPPORT).status == 200
    rescued.apply(pods(bot.port))
    assert rescued.post(CHAT, {"model": "new"}, SUPPORT).error["code"] == "model_not_found"
    assert ask(rescued).status == 200


def test_a_key_that_is_revoked(rescued: Gateway, bot: Engine) -> None:
    rescued.apply(replace(pods(bot.port), keys={}))
    assert ask(rescued).headers["x-slm-cause"] == "unknown-key"
    rescued.apply(pods(bot.port))
    assert ask(rescued).status == 200
