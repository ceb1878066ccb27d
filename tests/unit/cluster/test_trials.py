"""Trials run beside the loop, with the engine's key, and again after a failure; another pod ends the one before."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from smallmodel_operator.cluster import speed
from smallmodel_operator.cluster.trials import Trials
from smallmodel_operator.core.keys import Masters, engine_key
from smallmodel_operator.core.trial import Answers, Failure, Figures, Trial
from smallmodel_operator.quality.golden import parse

MODEL = ("support", "bot")
MASTERS = Masters(b"c" * 32, b"e" * 32)
TRIAL = Trial("calibration/v1", "127.0.0.1", "bot", slots=2, context=512)


@pytest.fixture(autouse=True)
def little_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "ENOUGH_SECONDS", 0.005)


class FakeEngine:
    """Speaks what the operator uses of an engine's API; `status` is what it answers with."""

    def __init__(self) -> None:
        self.status, self.asked, self.at_once, self.most = 200, 0, 0, 0

    async def complete(self, request: web.Request) -> web.StreamResponse:
        self.asked += 1
        if request.headers["Authorization"] != f"Bearer {engine_key(MASTERS.engine, 'uid')}":
            return web.Response(status=401)
        if self.status != 200:
            return web.Response(status=self.status, text="PROMPT")
        body = await request.json()
        assert body["cache_prompt"] is False
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        response = web.StreamResponse()
        await response.prepare(request)
        words = len(body["prompt"].split())
        for _ in range(body["max_tokens"]):
            await asyncio.sleep(0)
            await response.write(b'data: {"choices": [{"text": "a"}]}\n\n')
        usage = {"prompt_tokens": words, "completion_tokens": body["max_tokens"]}
        await response.write(f"data: {json.dumps({'choices': [], 'usage': usage})}\n\ndata: [DONE]\n\n".encode())
        self.at_once -= 1
        return response

    async def chat(self, request: web.Request) -> web.Response:
        body = await request.json()
        word = body["messages"][-1]["content"].split()[-1]
        return web.json_response({"choices": [{"message": {"role": "assistant", "content": word}}]})


@asynccontextmanager
async def served(engine: FakeEngine) -> AsyncIterator[int]:
    app = web.Application()
    app.add_routes([web.post("/v1/completions", engine.complete), web.post("/v1/chat/completions", engine.chat)])
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


@asynccontextmanager
async def running(engine: FakeEngine) -> AsyncIterator[tuple[Trials, asyncio.Queue[Any]]]:
    pokes: asyncio.Queue[Any] = asyncio.Queue()
    async with served(engine) as port:
        trials = Trials(lambda: MASTERS, pokes.put_nowait, port)
        trials.pause = 0.01
        try:
            yield trials, pokes
        finally:
            await trials.close()


async def until(pokes: asyncio.Queue[Any], found: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not found():
            assert await pokes.get() == MODEL


async def test_a_pod_is_measured_and_the_model_poked() -> None:
    engine = FakeEngine()
    async with running(engine) as (trials, pokes):
        assert trials.known(MODEL) == {}
        trials.want(MODEL, "uid", [TRIAL])
        await until(pokes, lambda: bool(trials.known(MODEL)))
        figures = trials.known(MODEL)[TRIAL.key]
        assert isinstance(figures, Figures)
        assert [at_once for at_once, _ in figures.decode] == [1, 2]
        assert figures.prefill > 0
        assert engine.most == 2
        asked = engine.asked
        trials.want(MODEL, "uid", [TRIAL])
        await asyncio.sleep(0.05)
        assert engine.asked == asked, "what is known is not asked again"
        trials.want(MODEL, "uid", [])
        assert trials.known(MODEL) == {}


async def test_golden_prompts_are_asked_and_ids_come_back() -> None:
    prompts = parse(
        '{"id": "right", "prompt": "say yes", "expect": {"exact": "yes"}}\n'
        '{"id": "wrong", "prompt": "say no", "expect": {"exact": "yes"}}'
    )
    golden = Trial("golden/v1/p/1", "127.0.0.1", "bot", 2, 512, prompts, consistency=True)
    async with running(FakeEngine()) as (trials, pokes):
        trials.want(MODEL, "uid", [golden, TRIAL])
        await until(pokes, lambda: len(trials.known(MODEL)) == 2)
        assert trials.known(MODEL)[golden.key] == Answers(("wrong",), 100, 100)
        assert isinstance(trials.known(MODEL)[TRIAL.key], Figures), "each in its turn"


async def test_what_fails_is_tried_again_and_says_why_without_a_text() -> None:
    engine = FakeEngine()
    engine.status = 503
    async with running(engine) as (trials, pokes):
        trials.want(MODEL, "uid", [TRIAL])

        def tries() -> int:
            found = trials.known(MODEL).get(TRIAL.key)
            return found.tries if isinstance(found, Failure) else 0

        await until(pokes, lambda: tries() >= 2)
        failure = trials.known(MODEL)[TRIAL.key]
        assert isinstance(failure, Failure)
        assert "503" in failure.message
        assert "PROMPT" not in failure.message
        engine.status = 200
        trials.want(MODEL, "uid", [TRIAL])
        await until(pokes, lambda: isinstance(trials.known(MODEL)[TRIAL.key], Figures))


async def test_a_wrong_key_is_named() -> None:
    async with running(FakeEngine()) as (trials, pokes):
        trials.want(MODEL, "another-uid", [TRIAL])
        await until(pokes, lambda: bool(trials.known(MODEL)))
        failure = trials.known(MODEL)[TRIAL.key]
        assert isinstance(failure, Failure)
        assert "key" in failure.message


async def test_what_is_not_wanted_any_more_ends() -> None:
    engine = FakeEngine()
    engine.status = 503
    async with running(engine) as (trials, pokes):
        trials.want(MODEL, "uid", [TRIAL])
        await until(pokes, lambda: bool(trials.known(MODEL)))
        trials.want(MODEL, "uid", [])
        await asyncio.sleep(0.2)  # what was on its way has arrived
        asked = engine.asked
        await asyncio.sleep(0.2)
        assert engine.asked == asked
