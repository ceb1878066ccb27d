"""What a download's pod says is taken with care, and a status is not written for each piece of a file."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallmodel_operator.api.conditions import Reason
from smallmodel_operator.core.facts import Progress
from smallmodel_operator.weights.progress import MAX_NUMBER, decode, duration, encode, in_words, news, shown

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
GIB = 2**30


@given(
    st.integers(0, MAX_NUMBER - 1),
    st.integers(0, MAX_NUMBER - 1),
    st.none() | st.integers(0, 10**6),
    st.sampled_from([("", ""), ("SourceStalled", "Nothing comes.")]),
)
def test_what_is_said_is_what_is_heard(done: int, total: int, left: int | None, trouble: tuple[str, str]) -> None:
    said = Progress(done, total, left, *trouble)
    assert decode(encode(said)) == said


@pytest.mark.parametrize(
    "change",
    [
        {"done": -1},
        {"done": 1.5},
        {"done": True},
        {"total": 2**60},
        {"total": "1"},
        {"secondsLeft": -1},
        {"trouble": {"reason": "Serving", "message": "no reason of a download"}},
        {"trouble": {"reason": "Boom", "message": ""}},
        {"trouble": {"reason": "SourceStalled", "message": 1}},
        {"trouble": 1},
    ],
)
def test_nonsense_is_not_believed(change: dict[str, Any]) -> None:
    said = {"done": 1, "total": 2, "secondsLeft": 3, "trouble": None}
    assert decode(json.dumps(said)) is not None
    assert decode(json.dumps(said | change)) is None


@pytest.mark.parametrize("text", ["", "null", "[]", "7", "{}", "[" * 5000])
def test_what_is_not_ours_is_not_believed(text: str) -> None:
    assert decode(text) is None


def test_a_status_is_written_every_five_percent_or_quarter_minute() -> None:
    previous: dict[str, Any] = {}
    written = []
    for second in range(101):
        said = shown(previous, NOW + timedelta(seconds=second), Progress(second * 10, 1000, 100 - second))
        if said != previous.get("download"):
            written.append((second, said["percent"]))
        previous = {"download": said}
    assert written == [(s, s) for s in range(0, 101, 5)]
    slow = {"download": shown({}, NOW, Progress(0, 1000, None))}
    assert shown(slow, NOW + timedelta(seconds=14), Progress(10, 1000, 60)) == slow["download"]
    assert shown(slow, NOW + timedelta(seconds=15), Progress(10, 1000, 60)) == {
        "doneBytes": 10, "totalBytes": 1000, "percent": 1, "secondsLeft": 60, "asOf": "2026-11-21T12:00:15Z",
    }  # fmt: skip


def test_a_length_that_becomes_known_and_a_new_beginning_are_written_at_once() -> None:
    before = {"download": shown({}, NOW, Progress(500, 0, None))}
    assert shown(before, NOW, Progress(500, 1000, None))["percent"] == 50
    half = {"download": shown({}, NOW, Progress(500, 1000, None))}
    assert shown(half, NOW, Progress(0, 1000, None))["percent"] == 0


def test_without_an_answer_nothing_is_shown() -> None:
    assert shown({"download": {"percent": 5, "asOf": "2026-11-21T12:00:00Z"}}, NOW, None) == {}


def test_the_condition_says_how_far_or_what_is_in_the_way() -> None:
    progress = Progress(GIB, 4 * GIB, 600)
    told = news(shown({}, NOW, progress), progress)
    assert (told.reason, told.message) == (
        Reason.DOWNLOADING,
        "The weights are being downloaded and checked: 25 % of 4.0 GiB, 10 min left.",
    )
    assert told.after_seconds <= 5
    stuck = Progress(GIB, 4 * GIB, 600, "SourceStalled", "hub.test sends nothing.")
    told = news(shown({}, NOW, stuck), stuck)
    assert (told.reason, told.message) == (Reason.SOURCE_STALLED, "hub.test sends nothing. Trying again.")
    begun = Progress(0, 0, None)
    assert news(shown({}, NOW, begun), begun).message == "The weights are being downloaded and checked."


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({}, ""),
        ({"doneBytes": 5 * 2**20}, "5 MiB"),
        ({"doneBytes": 1, "totalBytes": 2**20, "percent": 1}, "1 % of 1 MiB"),
        ({"doneBytes": 1, "totalBytes": GIB, "percent": 1, "secondsLeft": 0}, "1 % of 1.0 GiB, 0 s left"),
    ],
)
def test_in_words(said: dict[str, Any], words: str) -> None:
    assert in_words(said) == words


@pytest.mark.parametrize(("seconds", "words"), [(89, "89 s"), (90, "2 min"), (3600, "60 min"), (9000, "2.5 h")])
def test_duration(seconds: int, words: str) -> None:
    assert duration(seconds) == words
