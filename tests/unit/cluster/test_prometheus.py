"""The way to Prometheus on the wire: an answer, or in bounded time a reason why there is none."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.fakes.prometheus import FakePrometheus, Target, prometheus

from smallmodel_operator.cluster import prometheus as module
from smallmodel_operator.cluster.prometheus import Prometheus
from smallmodel_operator.cluster.scraped import NoAnswer, queries

TIMES, PARTS = queries({})


@pytest.fixture
def fake() -> Iterator[FakePrometheus]:
    with prometheus(FakePrometheus({"g-0": Target()})) as served:
        yield served


def refused(server: Prometheus) -> str:
    with pytest.raises(NoAnswer) as caught:
        server.query(TIMES)
    server.close()
    return str(caught.value)


def test_a_question_is_asked_once_and_answered(fake: FakePrometheus) -> None:
    server = Prometheus(f"{fake.url}/")
    (sample,) = server.query(TIMES)
    assert sample["metric"]["gateway"] == "g-0"
    assert fake.asked == [TIMES]
    server.close()


@pytest.mark.parametrize(
    ("mode", "why"),
    [
        ("503", "it answers status 503"),
        ("error", "it answers status 422, too many samples"),
        ("html", "it answers something else than Prometheus' API"),
        ("redirect", "it answers status 302"),
        ("cut", "no connection"),
    ],
)
def test_what_is_no_answer_says_why_and_is_not_asked_again(fake: FakePrometheus, mode: str, why: str) -> None:
    fake.mode = mode
    assert refused(Prometheus(fake.url)) == why
    assert len(fake.asked) == 1, "no retry within the question"


@pytest.mark.parametrize("mode", ["slow", "trickle"])
def test_who_is_slow_is_given_up(fake: FakePrometheus, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "READ_SECONDS", 0.3)
    monkeypatch.setattr(module, "WHOLE_SECONDS", 0.5)
    fake.mode, began = mode, time.monotonic()
    assert refused(Prometheus(fake.url)) == "no answer within 0.5 s"
    assert time.monotonic() - began < 30


def test_an_answer_without_end_is_none(fake: FakePrometheus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_BYTES", 10)
    assert refused(Prometheus(fake.url)) == "its answer is longer than 0 MiB"


def test_nobody_there() -> None:
    with prometheus(FakePrometheus()) as gone:
        pass
    assert refused(Prometheus(gone.url)) == "no connection"


def test_no_proxy_is_asked(fake: FakePrometheus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://192.0.2.1:3128")
    monkeypatch.setenv("http_proxy", "http://192.0.2.1:3128")
    server = Prometheus(fake.url)
    assert server.query(TIMES)
    server.close()


def test_the_token_is_read_with_each_question(fake: FakePrometheus, tmp_path: Path) -> None:
    server = Prometheus(fake.url, tmp_path)
    server.query(TIMES)
    for token in ("first\n", "second"):
        (tmp_path / "token").write_text(token)
        server.query(TIMES)
    assert fake.tokens == ["", "Bearer first", "Bearer second"]
    server.close()


@pytest.mark.parametrize("token", ["two\nlines", "umlaut-ü", "\x00"])
def test_a_token_that_is_none_is_named_and_not_shown(fake: FakePrometheus, tmp_path: Path, token: str) -> None:
    (tmp_path / "token").write_text(token)
    assert refused(Prometheus(fake.url, tmp_path)) == "the `token` of its Secret is not one line of plain text"
    assert fake.asked == []


def test_an_authority_that_is_none_is_an_answer_too(fake: FakePrometheus, tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_text("no certificate")
    assert refused(Prometheus(fake.url.replace("http:", "https:"), tmp_path)) in (
        "its certificate is not trusted", "the request failed",
    )  # fmt: skip
