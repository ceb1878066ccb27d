"""Recognizers asked for real, on loopback: what is found stays inside, and so does all that nobody answers for."""

import asyncio
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
from tests.fakes.analyzer import FakeAnalyzer
from tests.gateway.states import MASTER, model, state_of
from tests.unit.gateway.decide.test_service import Chain, call, target

from smallmodel_operator.core.keys import engine_key
from smallmodel_operator.gateway.decide import recognizers
from smallmodel_operator.gateway.decide.recognizers import Place, Recognizers
from smallmodel_operator.gateway.decide.service import Deciding, Recognize, Route
from smallmodel_operator.gateway.decide.services import place
from smallmodel_operator.gateway.state import Endpoint
from smallmodel_operator.routing.detect.decide import Reason
from smallmodel_operator.routing.detect.recognizer import MOST_BYTES, MOST_CHARACTERS, Recognizer
from smallmodel_operator.routing.policy import Boundary, External, RoutePolicy, Target, compiled
from smallmodel_operator.routing.verdict import Can

NER = Recognizer("ner", ("Names",), service="presidio", timeout_milliseconds=3000)
OTHER = replace(NER, name="other")
BOUNDARY = Boundary(External.WHEN_CLEAN, ("Pii", "Names"), recognizers=(NER,))


@pytest.fixture(scope="module")
def running() -> Iterator[FakeAnalyzer]:
    fake = FakeAnalyzer()
    fake.start()
    yield fake
    fake.stop()


@pytest.fixture
def analyzer(running: FakeAnalyzer) -> FakeAnalyzer:
    running.answers = None
    running.asked.clear()
    return running


def at(port: int) -> Recognizers:
    return Recognizers(lambda namespace, one: Place("127.0.0.1", port, "/analyze"))


async def reasons(analyzer: FakeAnalyzer, text: str = "Hello", *wanted: Recognizer) -> tuple[Reason, ...]:
    async with at(analyzer.port) as asking:
        return await asking.ask("support", wanted or (NER,), text)


async def test_what_is_found_is_told_by_the_recognizers_name(analyzer: FakeAnalyzer) -> None:
    assert await reasons(analyzer) == ()
    assert await reasons(analyzer, "Maria is ill") == (Reason("Found", "Recognizer", "ner"),)
    assert analyzer.asked[1] == {"text": "Maria is ill", "language": "en"}


async def test_all_of_them_are_asked(analyzer: FakeAnalyzer) -> None:
    found = await reasons(analyzer, "Maria", NER, replace(OTHER, entities=("LOCATION",)))
    assert found == (Reason("Found", "Recognizer", "ner"),)
    assert len(analyzer.asked) == 2


@pytest.mark.parametrize(
    ("answers", "why"),
    [
        ((200, b"oops", 0.0), "RecognizerFailed"),
        ((200, b"[" + b" " * MOST_BYTES + b"]", 0.0), "RecognizerFailed"),
        ((201, b"[]", 0.0), "RecognizerRefused"),
        ((204, b"", 0.0), "RecognizerRefused"),
        ((404, b"[]", 0.0), "RecognizerRefused"),
        ((500, b"[]", 0.0), "RecognizerRefused"),
    ],
)
async def test_another_answer_keeps_it_inside(
    analyzer: FakeAnalyzer, answers: tuple[int, bytes, float], why: str
) -> None:
    analyzer.answers = answers
    assert await reasons(analyzer) == (Reason(why, kind="ner"),)


async def test_nobody_it_names_is_asked_in_its_place(analyzer: FakeAnalyzer) -> None:
    elsewhere = FakeAnalyzer()
    elsewhere.start()
    try:
        analyzer.answers = (302, f"http://127.0.0.1:{elsewhere.port}/analyze".encode(), 0.0)
        assert await reasons(analyzer) == (Reason("RecognizerRefused", kind="ner"),)
        assert elsewhere.asked == []
    finally:
        elsewhere.stop()


async def test_a_slow_one_is_not_waited_for(analyzer: FakeAnalyzer) -> None:
    analyzer.answers = (200, b"[]", 1.0)
    assert await reasons(analyzer, "Hello", replace(NER, timeout_milliseconds=50)) == (
        Reason("RecognizerTimedOut", kind="ner"),
    )


async def test_one_that_is_not_there_and_a_long_text(analyzer: FakeAnalyzer) -> None:
    async with Recognizers(lambda *_: None) as asking:
        assert await asking.ask("support", (NER,), "Hello") == (Reason("RecognizerMissing", kind="ner"),)
    assert await reasons(analyzer, "x" * (MOST_CHARACTERS + 1)) == (Reason("RecognizerTooLarge", kind="ner"),)
    gone = FakeAnalyzer()
    gone._server.server_close()
    assert await reasons(gone) == (Reason("RecognizerFailed", kind="ner"),)
    assert analyzer.asked == []


async def test_more_than_may_be_asked_at_once_stay(analyzer: FakeAnalyzer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recognizers, "MOST_ASKED", 2)
    analyzer.answers = (200, b"[]", 0.3)
    async with at(analyzer.port) as asking:
        found = await asyncio.gather(*(asking.ask("support", (NER,), "Hello") for _ in range(3)))
        assert sorted(map(len, found)) == [0, 0, 1]
        assert (Reason("RecognizerBusy", kind="ner"),) in found
        analyzer.answers = None
        assert await asking.ask("support", (NER,), "Hello") == (), "there is room again"


async def test_no_text_is_logged(analyzer: FakeAnalyzer, caplog: pytest.LogCaptureFixture) -> None:
    analyzer.answers = (200, b'[{"entity_type": "the words of the prompt"}]', 0.0)
    await reasons(analyzer, "the words of the prompt")
    assert "RecognizerFailed" in caplog.text
    assert "the words" not in caplog.text


# -- decisions -------------------------------------------------------------------------------------------------------


def deciding(recognize: Recognize | None, chain: Chain, boundary: Boundary = BOUNDARY) -> Deciding:
    targets = (Target("small", "support/bot"), Target("cloud", "big-1", inside=False))
    policy = RoutePolicy("support", "assistant", targets, "cloud", boundary=boundary)
    routes = {policy.route: Route(compiled(policy, {}), {"small": Can(), "cloud": Can()})}
    more: Mapping[str, Any] = {"recognize": recognize} if recognize else {}
    return Deciding(routes.get, lambda _: ("public",), chain, **more)


async def test_what_would_leave_is_asked_about_first(analyzer: FakeAnalyzer) -> None:
    chain = Chain()
    async with at(analyzer.port) as asking:
        service = deciding(asking.ask, chain)
        assert target(await service.decide(call("Hello"))) == "cloud"
        assert target(await service.decide(call("Maria is ill"))) == "small"
        assert target(await service.decide(call("word " * 2000 + "Maria"))) == "small", "in a thread"
        asked = len(analyzer.asked)
        assert target(await service.decide(call("Maria, maria@example.com"))) == "small"
        assert len(analyzer.asked) == asked, "it stays anyway"
        service.close()
    assert [record.get("slm.decision.reasons", "") for record in chain.records] == [
        "",
        "Found:Recognizer/ner",
        "Found:Recognizer/ner",
        "Found:Pii/EmailAddress",
    ]
    assert "Maria" not in json.dumps(chain.records)


async def test_who_names_the_outside_is_refused(analyzer: FakeAnalyzer) -> None:
    async with at(analyzer.port) as asking:
        service = deciding(asking.ask, Chain())
        assert (await service.decide(replace(call("Maria"), chosen="Named/cloud"))).status == 403
        assert target(await service.decide(replace(call("Hello"), chosen="Named/cloud"))) == "cloud"


async def test_without_anybody_who_asks_nothing_leaves() -> None:
    chain = Chain()
    assert target(await deciding(None, chain).decide(call("Hello"))) == "small"
    assert chain.records[0]["slm.decision.reasons"] == "RecognizerMissing:ner"


async def test_an_asking_that_fails_keeps_it_inside(caplog: pytest.LogCaptureFixture) -> None:
    async def broken(namespace: str, wanted: object, text: str) -> tuple[Reason, ...]:
        raise RuntimeError(text)

    chain = Chain()
    assert target(await deciding(broken, chain).decide(call("the words"))) == "small"
    assert chain.records[0]["slm.decision.reasons"] == "RecognizerFailed"
    assert "the words" not in caplog.text


# -- where -----------------------------------------------------------------------------------------------------------


def test_a_service_is_asked_at_its_pods_and_a_model_with_its_key() -> None:
    state = state_of((model("support/nurse"),), {"support/nurse": 8080})
    pods = {("support", "presidio"): (Endpoint("10.0.0.7", 3000, ready=True),)}
    found = place("support", NER, lambda name: pods.get(name, ()), state)
    assert found == Place("10.0.0.7", 3000, "/analyze")
    assert place("crm", NER, lambda name: pods.get(name, ()), state) is None, "only of the route's namespace"
    nurse = Recognizer("nurse", ("Phi",), model="nurse")
    key = engine_key(MASTER, "uid-support/nurse")
    assert place("support", nurse, pods.__getitem__, state) == Place("127.0.0.1", 8080, "/v1/chat/completions", key)
    assert key not in repr(place("support", nurse, pods.__getitem__, state))
    stopped = state_of((model("support/nurse", stopped=True),), {"support/nurse": 8080})
    for other in (stopped, state_of((model("support/nurse"),), {}), state_of((), {})):
        assert place("support", nurse, pods.__getitem__, other) is None
