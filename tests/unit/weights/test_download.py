"""What an answer means for the bytes that are there, and how long a download waits."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallmodel_operator.weights.download import (
    LAST_PAUSE,
    TRIES,
    WAIT_HERE,
    Answer,
    Known,
    Step,
    headers,
    judge,
    learnt,
    pause,
    retry_after,
)
from smallmodel_operator.weights.result import MAX_WAIT

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
FILE = Known(100, '"a"')


@pytest.mark.parametrize(
    ("have", "known", "answer", "step"),
    [
        (0, Known(), Answer(200, 100, tag='"a"'), Step.TAKE),
        (40, FILE, Answer(206, 60, "bytes 40-99/100", '"a"'), Step.APPEND),
        (40, FILE, Answer(206, 60, "bytes 40-99/*", '"a"'), Step.APPEND),
        (40, FILE, Answer(206, 61, "bytes 40-100/101", '"b"'), Step.ASK_FROM_START),
        (40, FILE, Answer(206, 61, "bytes 39-99/100", '"a"'), Step.ASK_FROM_START),
        (40, FILE, Answer(206, 60, "", '"a"'), Step.ASK_FROM_START),
        (40, FILE, Answer(206, 60, "bytes 40-99/100;x", '"a"'), Step.ASK_FROM_START),
        (40, FILE, Answer(200, 100, tag='"a"'), Step.TAKE),  # it knows no ranges
        (40, FILE, Answer(200, 100, tag='"b"'), Step.ASK_WITHOUT_TAG),
        (40, FILE, Answer(200, 100), Step.ASK_WITHOUT_TAG),
        (40, FILE, Answer(200, 90, tag='"b"'), Step.TAKE),
        (40, Known(100), Answer(200, 100, tag='"b"'), Step.TAKE),
        (100, FILE, Answer(416, 0, "bytes */100"), Step.ASK_FROM_START),
        (0, Known(), Answer(206, 60, "bytes 40-99/100"), Step.ASK_FROM_START),
    ],
)
def test_judge(have: int, known: Known, answer: Answer, step: Step) -> None:
    assert judge(have, known, answer) is step


def test_what_is_asked_for() -> None:
    assert headers(0, FILE) == {}
    assert headers(40, FILE) == {"Range": "bytes=40-", "If-Range": '"a"'}
    assert headers(40, Known(100)) == {"Range": "bytes=40-"}


@pytest.mark.parametrize(
    ("have", "answer", "known"),
    [
        (0, Answer(200, 100, tag='"a"'), Known(100, '"a"')),
        (40, Answer(206, 60, "bytes 40-99/100", '"a"'), Known(100, '"a"')),
        (40, Answer(206, 0, "bytes 40-99/100"), Known(100)),
        (40, Answer(206, 60, "bytes 40-99/*"), Known(100)),
        (0, Answer(200), Known()),
        (0, Answer(200, 100, tag='W/"a"'), Known(100)),
        (0, Answer(200, 100, tag='"' + "a" * 300 + '"'), Known(100)),
        (0, Answer(200, 100, tag='"a\r\nX: y"'), Known(100)),
    ],
)
def test_what_an_answer_tells_of_the_file(have: int, answer: Answer, known: Known) -> None:
    assert learnt(have, answer) == known


@pytest.mark.parametrize(
    ("answer", "step"),
    [
        (Answer(206, 60, "bytes 40-99/100", '"a"'), Step.APPEND),
        (Answer(206, 60, "bytes 40-99/100", '"b"'), Step.ASK_FROM_START),
        (Answer(206, 60, "bytes 40-99/100"), Step.ASK_FROM_START),
        (Answer(200, 100, tag='"b"'), Step.TAKE),
    ],
)
def test_where_no_sum_decides_another_etag_is_another_file(answer: Answer, step: Step) -> None:
    assert judge(40, Known(100, '"a"'), answer, exact=True) is step


@given(st.floats(0, 1), st.floats(0, 100_000))
def test_the_time_without_a_byte_is_bounded(chance: float, wish: float) -> None:
    tries, waited = 0, 0.0
    while (wait := pause(tries, waited, wish, chance)) is not None:
        assert wait >= wish
        assert wait > 0
        assert wait <= max(LAST_PAUSE, wish + 1)
        tries, waited = tries + 1, waited + wait
    assert tries <= TRIES
    assert waited <= WAIT_HERE


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("", 0),
        ("7", 7),
        (" 7 ", 7),
        ("-7", 0),
        ("7.5", 0),
        ("soon", 0),
        ("9" * 30, MAX_WAIT),
        ("Sat, 21 Nov 2026 12:01:00 GMT", 60),
        ("Sat, 21 Nov 2026 11:00:00 GMT", 0),
        ("Sat, 21 Nov 2026 12:01:00 -0000", 0),
        ("²", 0),
    ],
)
def test_retry_after(text: str, seconds: int) -> None:
    assert retry_after(text, NOW) == seconds
