"""The analyzer's HTTP interface, with a fake of Presidio's engine that finds words it is told."""

import asyncio
import io
import json
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from hack.cluster.paths import REPOSITORY
from hack.images.analyzer.analyzer import MOST_BYTES, MOST_WAITING, Analyzer, application


@dataclass
class Finding:
    entity_type: str
    start: int
    end: int
    score: float
    recognition_metadata: Any = None

    def to_dict(self) -> dict[str, Any]:
        return self.__dict__


class FakeEngine:
    """Of Presidio: finds Heron as PERSON; `broken` is what it raises; `go` is awaited before each answer."""

    def __init__(self) -> None:
        self.broken: Exception | None = None
        self.go = threading.Event()
        self.go.set()
        self.began = 0

    def get_supported_entities(self, language: str) -> list[str]:
        return ["PERSON", "IBAN_CODE"] if language == "en" else ["PERSON"]

    def analyze(
        self, text: str, language: str, entities: list[str] | None, score_threshold: float | None
    ) -> list[Finding]:
        self.began += 1
        assert self.go.wait(10)
        if self.broken:
            raise self.broken
        place = text.find("Heron")
        return [Finding("PERSON", place, place + 5, 1.0, {"recognizer_name": "people"})] if place >= 0 else []


@pytest.fixture
def engine() -> Iterator[FakeEngine]:
    made = FakeEngine()
    yield made
    made.go.set()


def ask(engine: FakeEngine, body: bytes, path: str = "/analyze") -> tuple[int, Any]:
    async def asking() -> tuple[int, Any]:
        async with TestClient(TestServer(application(Analyzer(engine, ("en", "de")), 1))) as client:
            answer = await (client.post(path, data=io.BytesIO(body)) if body else client.get(path))
            text = await answer.text()
            return answer.status, json.loads(text) if text[:1] in "[{" else text

    return asyncio.run(asking())


def question(**more: Any) -> bytes:
    return json.dumps({"text": "Write to Heron", "language": "en", **more}).encode()


def test_it_answers_as_presidios_own_server_does(engine: FakeEngine) -> None:
    found = {"entity_type": "PERSON", "start": 9, "end": 14, "score": 1.0}
    status, said = ask(engine, question(entities=["PERSON"]))
    assert (status, said) == (200, [{**found, "analysis_explanation": None, "recognition_metadata": None}])
    assert ask(engine, question(text="Write")) == (200, [])
    assert ask(engine, question(entities=[]))[0] == 200
    assert ask(engine, b"", "/health")[0] == 200
    assert ask(engine, b"", "/supportedentities?language=de") == (200, ["PERSON"])


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"entities": ["PERSON", "NRP"]}, "nothing here finds 1 of entities: see /supportedentities"),
        ({"entities": ["IBAN_CODE"], "language": "de"}, "nothing here finds 1 of entities: see /supportedentities"),
        ({"entities": "PERSON"}, "entities has to be a list of strings"),
        ({"entities": [1]}, "entities has to be a list of strings"),
        ({"language": "fr"}, "language has to be one of en, de"),
        ({"language": None}, "language has to be one of en, de"),
        ({"text": ""}, "text has to be a string that is not empty"),
        ({"text": ["Heron"]}, "text has to be a string that is not empty"),
        ({"score_threshold": "high"}, "score_threshold has to be a number, 0 to 1"),
        ({"score_threshold": float("nan")}, "score_threshold has to be a number, 0 to 1"),
        ({"score_threshold": 2}, "score_threshold has to be a number, 0 to 1"),
        (
            {"ad_hoc_recognizers": []},
            "1 of its members are not known here: entities, language, score_threshold, text are",
        ),
    ],
)
def test_what_it_cannot_look_for_it_does_not_answer(engine: FakeEngine, more: dict[str, Any], why: str) -> None:
    assert ask(engine, question(**more)) == (400, {"error": why})
    assert engine.began == 0


@pytest.mark.parametrize("body", [b"Heron", b'"Heron"', b"[" * 100_000, b"\xff"])
def test_what_is_no_question_is_refused_without_its_text(engine: FakeEngine, body: bytes) -> None:
    status, said = ask(engine, body)
    assert status == 400
    assert "Heron" not in str(said)
    assert ask(engine, b"x" * (MOST_BYTES + 1))[0] == 413


def test_a_text_that_broke_it_is_in_no_answer_and_no_log(engine: FakeEngine, caplog: pytest.LogCaptureFixture) -> None:
    engine.broken = ValueError("cannot parse Heron")
    with caplog.at_level(logging.DEBUG):
        assert ask(engine, question()) == (500, {"error": "the text was not analyzed"})
    assert "ValueError" in caplog.text
    assert "Heron" not in caplog.text


def test_more_questions_than_it_can_answer_in_time_are_refused_at_once(engine: FakeEngine) -> None:
    engine.go.clear()

    async def asking() -> list[int]:
        async with TestClient(TestServer(application(Analyzer(engine, ("en",)), 1))) as client:
            async with asyncio.TaskGroup() as group:
                asked = [group.create_task(client.post("/analyze", data=question())) for _ in range(MOST_WAITING + 3)]
                await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
                refused = [task for task in asked if task.done()]
                assert {task.result().status for task in refused} == {503}
                engine.go.set()
            return sorted(task.result().status for task in asked)

    assert asyncio.run(asking()) == [200] * MOST_WAITING + [503] * 3


BROKEN = (
    b"POST /analyze HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nHeron is ill\r\n",
    b"POST /analyze HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}Heron is ill\r\n\r\n",
    b"Heron is ill\r\n\r\n",
)


@pytest.mark.parametrize("sent", BROKEN)
def test_what_is_no_http_is_in_no_answer_and_no_log(sent: bytes) -> None:
    """In a process of its own, as it runs: what other libraries log there is what counts."""
    made = subprocess.run(
        [sys.executable, "-c", SERVED, str(REPOSITORY)], input=sent, capture_output=True, timeout=60, check=False
    )
    assert made.returncode == 0, made.stderr
    assert b" 400 Bad Request" in made.stdout
    assert b"Heron" not in made.stdout + made.stderr


SERVED = """
import asyncio, logging, sys
sys.path.insert(0, sys.argv[1])
from aiohttp import web
from hack.images.analyzer.analyzer import Analyzer, application, own_log_alone
from tests.unit.test_bed.test_analyzer import FakeEngine

async def main():
    runner = web.AppRunner(application(Analyzer(FakeEngine(), ("en",)), 1), access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", site._server.sockets[0].getsockname()[1])
    writer.write(sys.stdin.buffer.read())
    sys.stdout.buffer.write(await asyncio.wait_for(reader.read(), 10))
    logging.getLogger("presidio-analyzer").error("Failed to validate text %s", "Heron")
    await runner.cleanup()

own_log_alone()
asyncio.run(main())
"""
