"""Requests held while a model wakes, with real Envoys: none lost, whatever is killed meanwhile."""

import asyncio
import hashlib
import json
import statistics
import time
from pathlib import Path

import aiohttp
import pytest
from tests.gateway.activation.stage import Gateway, Stage, gateways, headers

BODY = json.dumps({"model": "bot", "messages": [{"role": "user", "content": "x" * 2000}]}).encode()
SHA = hashlib.sha256(BODY).hexdigest()


async def ask(session: aiohttp.ClientSession, gateway: Gateway, name: str) -> tuple[int, float, str]:
    """Status, time of the answer and what was wrong with it."""
    url = gateway.url + "/v1/chat/completions"
    more = {"x-test": name, "Content-Type": "application/json"}
    try:
        async with session.post(url, data=BODY, headers=headers(**more)) as answer:
            text = await answer.text()
            wrong = "" if answer.status == 200 and SHA in text else text
            assert "x-slm-activated" not in answer.headers
            return answer.status, time.monotonic(), wrong
    except aiohttp.ClientError as error:
        return 0, time.monotonic(), repr(error)


def start(
    session: aiohttp.ClientSession, to: list[Gateway], count: int, name: str = ""
) -> list[asyncio.Task[tuple[int, float, str]]]:
    """Requests to gateways in turn."""
    return [asyncio.create_task(ask(session, to[n % len(to)], f"{name}{n}")) for n in range(count)]


async def held(to: list[Gateway], count: int) -> None:
    async with asyncio.timeout(40):
        while sum([await g.held() for g in to]) != count:  # noqa: ASYNC110 - asked of other processes
            await asyncio.sleep(0.02)


def client() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=60))


async def test_two_hundred_held_by_two_gateways_twice_in_a_row(tmp_path: Path) -> None:
    async with Stage() as stage, gateways(tmp_path, stage) as both, client() as session:
        for time_ in (1, 2):
            asked = start(session, both, 200, f"{time_}-")
            await held(both, 200)
            answers = await asyncio.gather(*asked)
            assert [a for a in answers if a[0] != 200] == []
            assert stage.wakes == time_, "one wake for both gateways"
            delays = sorted(at - stage.ready_at for _, at, _ in answers)
            print(f"after ready: first {delays[0] * 1000:.0f} ms, median {delays[100] * 1000:.0f} ms, "
                  f"last {delays[-1] * 1000:.0f} ms")  # fmt: skip
            await stage.sleep()
            await asyncio.sleep(0.2)
        names = [name for _, name, _ in stage.arrived]
        assert sorted(names) == sorted(f"{t}-{n}" for t in (1, 2) for n in range(200)), "each reached the pod once"


async def test_release_delay_after_ready(tmp_path: Path) -> None:
    """Ready is noticed by looking, not at the end of some wait. The engine's own time does not count."""
    delays = []
    async with Stage(0.05, 0.05, 0.1, 5.0) as stage, gateways(tmp_path, stage) as both, client() as session:
        for n in range(8):
            status, at, wrong = await ask(session, both[n % 2], str(n))
            assert status == 200, wrong
            delays.append(at - stage.ready_at)
            await stage.sleep()
            await asyncio.sleep(0.1)
    print(f"release after ready: median {statistics.median(delays) * 1000:.0f} ms, longest {max(delays) * 1000:.0f} ms")
    assert statistics.median(delays) < 1.5, "the figure itself is measured by make bench-gateway"


@pytest.mark.parametrize(("how", "again"), [("kill", 0.0), ("kill", 1.5), ("terminate", 0.0)])
async def test_an_agent_that_ends_loses_nothing(tmp_path: Path, how: str, again: float) -> None:
    """Ended while it holds; it comes back at once, or after 1.5 s with the pod long ready."""
    async with Stage(load=1.5) as stage, gateways(tmp_path, stage) as both, client() as session:
        asked = start(session, both, 200)
        await held(both, 200)
        if how == "kill":
            await both[0].kill("agent")
        else:
            await both[0].terminate_agent()
        await asyncio.sleep(again)
        await both[0].start_agent()
        back = time.monotonic()
        answers = await asyncio.gather(*asked)
        assert [a for a in answers if a[0] != 200] == []
        assert sorted(name for _, name, _ in stage.arrived) == sorted(map(str, range(200)))
        late = max(at for _, at, _ in answers) - max(back, stage.ready_at)
        print(f"last answer {late:.2f} s after the pod was ready and the agent back")
        assert late < 5


async def test_a_killed_gateway_loses_its_own_connections_only(tmp_path: Path) -> None:
    async with Stage() as stage, gateways(tmp_path, stage) as both, client() as session:
        asked = start(session, both, 100)
        await held(both, 100)
        await both[0].kill("agent", "envoy")
        answers = await asyncio.gather(*asked)
        assert {a[0] for a in answers[0::2]} == {0}
        assert [a for a in answers[1::2] if a[0] != 200] == []


async def test_a_swap_of_the_only_pod_is_held(tmp_path: Path) -> None:
    async with Stage(kubelet=0.0) as stage, gateways(tmp_path, stage) as both, client() as session:
        status, _, wrong = await ask(session, both[0], "first")
        assert status == 200, wrong
        await stage.sleep()
        answers = await asyncio.gather(*start(session, both, 50))
        assert [a for a in answers if a[0] != 200] == []


async def test_a_request_that_ends_each_engine_is_answered_and_others_are_served(tmp_path: Path) -> None:
    async with Stage(kubelet=0.1) as stage, gateways(tmp_path, stage) as both, client() as session:
        poison = headers(**{"x-test": "poison", "x-request-id": "the callers own", "Content-Type": "application/json"})
        async with session.post(both[0].url + "/v1/chat/completions", data=BODY, headers=poison) as answer:
            assert (answer.status, answer.headers["x-slm-cause"]) == (502, "engine-ends")
            assert answer.headers["x-should-retry"] == "false"
            assert (await answer.json())["error"]["code"] == "engine_ends"
        # Asleep at first: two holds, two ends. One more where it was back before anybody saw that it had gone.
        assert stage.crashes in (2, 3)
        answers = await asyncio.gather(*start(session, both, 20))
        assert [a for a in answers if a[0] != 200] == []


async def test_clients_that_give_up_leave_the_queue(tmp_path: Path) -> None:
    async with Stage(schedule=30) as stage, gateways(tmp_path, stage) as both, client() as session:
        asked = start(session, both, 40)
        await held(both, 40)
        for task in asked[:30]:
            task.cancel()
        await held(both, 10)
        for task in asked[30:]:
            task.cancel()
        await asyncio.gather(*asked, return_exceptions=True)
        await held(both, 0)


async def test_bounds_and_waits_end_in_openai_errors(tmp_path: Path) -> None:
    limits = {"max_queued": 10, "max_wait": 2.0}
    async with Stage(schedule=30) as stage, gateways(tmp_path, stage, count=1, **limits) as one, client() as session:
        url = one[0].url + "/v1/chat/completions"
        asked = start(session, one, 10)
        await held(one, 10)
        async with session.post(url, data=BODY, headers=headers(**{"Content-Type": "application/json"})) as answer:
            assert (answer.status, answer.headers["x-slm-cause"]) == (503, "queue-full")
            assert int(answer.headers["Retry-After"]) >= 1
            assert set((await answer.json())["error"]) == {"message", "type", "param", "code"}
        answers = await asyncio.gather(*asked)
        assert {a[0] for a in answers} == {503}
        assert all("maxWaitSeconds" in wrong for _, _, wrong in answers)
