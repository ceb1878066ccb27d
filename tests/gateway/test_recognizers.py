"""From a caller to the outside through both Envoys, past a recognizer: a fake that speaks as Presidio's."""

from collections.abc import Iterator

import pytest
from tests.fakes.analyzer import FakeAnalyzer
from tests.gateway.outward import Outward, outward

from smallmodel_operator.gateway.decide.recognizers import Place


@pytest.fixture(scope="module")
def analyzer() -> Iterator[FakeAnalyzer]:
    fake = FakeAnalyzer()
    fake.start()
    yield fake
    fake.stop()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outward]:
    with outward(tmp_path_factory.mktemp("r")) as way:
        yield way


@pytest.fixture
def way(running: Outward, analyzer: FakeAnalyzer) -> Outward:
    running.forget()
    running.recognizers = lambda namespace, one: Place("127.0.0.1", analyzer.port, "/analyze")
    analyzer.answers = None
    analyzer.asked.clear()
    return running


def test_what_it_finds_nothing_in_leaves_and_what_it_finds_something_in_stays(
    way: Outward, analyzer: FakeAnalyzer
) -> None:
    assert way.ask("Please summarise this", "clinic").json == {"served_by": "outside"}
    answer = way.ask("Please write to Maria", "clinic")
    assert answer.headers["x-slm-model-digest"] == "sha256:bot"
    answer = way.ask("Please write to \uff2d\u200baria", "clinic/cloud")
    assert (answer.status, answer.error["code"]) == (403, "kept_inside")
    assert [asked["language"] for asked in analyzer.asked] == ["en"] * 3
    assert [record.get("slm.decision.reasons", "") for record in way.records] == ["", *["Found:Recognizer/ner"] * 2]
    assert "Maria" not in repr(way.records)
    assert len(way.outside.asked) == 1


def test_what_stays_anyway_is_not_sent_to_it(way: Outward, analyzer: FakeAnalyzer) -> None:
    assert way.ask("Pay DE89 3704 0044 0532 0130 00 to Maria", "clinic").status == 200
    assert way.ask("Maria", "desk").json == {"served_by": "outside"}
    assert analyzer.asked == []


@pytest.mark.parametrize(
    "answers",
    [
        (200, b"", 0.0),
        (200, b'{"error": "x"}', 0.0),
        (200, b"[" + b" " * 2_000_000 + b"]", 0.0),
        (500, b"[]", 0.0),
        (302, b"http://127.0.0.1:1/", 0.0),
        (200, b"[]", 3.5),
    ],
)
def test_whatever_else_it_does_nothing_leaves(
    way: Outward, analyzer: FakeAnalyzer, answers: tuple[int, bytes, float]
) -> None:
    analyzer.answers = answers
    assert way.ask(name="clinic").headers["x-slm-model-digest"] == "sha256:bot"
    assert way.outside.bytes == 0


def test_while_there_is_none_nothing_leaves(way: Outward) -> None:
    way.recognizers = lambda *_: None
    assert way.ask(name="clinic").headers["x-slm-model-digest"] == "sha256:bot"
    assert way.ask(name="clinic/cloud").error["code"] == "kept_inside"
    assert way.outside.bytes == 0
    assert way.records[0]["slm.decision.reasons"] == "RecognizerMissing:ner"
