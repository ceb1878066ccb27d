"""Metrics of lines that somebody else reads, too: each counts once, whoever read it."""

import errno
from pathlib import Path

import pytest
from prometheus_client import REGISTRY
from tests.fakes.chain import Fixture, line

from smallmodel_operator.gateway.accesslog import counted
from smallmodel_operator.gateway.accesslog.counted import FOLLOW_SECONDS
from smallmodel_operator.gateway.accesslog.read import LogReader
from smallmodel_operator.gateway.accesslog.usage import Usages
from smallmodel_operator.gateway.record.segments import Segments

BATCH = 2048


def seen(made: Fixture) -> int:
    """Requests the metrics of this process have counted."""
    labels = {"namespace": "support", "model": "bot", "caller_class": "none", "code": "200"}
    return int(made.metrics.get_sample_value("smallmodel_gateway_requests_total", labels) or 0)


def full(*_: object, **__: object) -> None:
    """In the place of what writes."""
    raise OSError(errno.ENOSPC, "No space left on device")


def alone(made: Fixture) -> None:
    """The metrics' own reader has its turn, when nobody was seen reading for a while."""
    made.now += FOLLOW_SECONDS + 1
    while made.counted.step():
        pass


def test_one_reading_serves_both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Fixture(tmp_path, batch_bytes=BATCH)
    made.answer(1)
    alone(made)  # the log is found by each on its own
    made.read()
    assert seen(made) == 1
    monkeypatch.setattr(LogReader, "attempt", lambda _: pytest.fail("the metrics read what was read for the record"))
    made.answer(20)
    made.read()
    assert not made.counted.step()
    assert (seen(made), len(made.answered)) == (21, 21)


def test_the_record_catches_up_with_the_metrics_and_counts_nothing_twice(tmp_path: Path) -> None:
    made = Fixture(tmp_path, batch_bytes=BATCH)
    made.answer(7)
    alone(made)
    made.answer(5)
    made.read()
    assert (seen(made), len(made.answered)) == (12, 12)
    made.answer(3)
    made.read()
    alone(made)
    assert (seen(made), len(made.answered)) == (15, 15)


def test_metrics_go_on_when_recording_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Fixture(tmp_path, batch_bytes=BATCH)
    made.answer(2)
    alone(made)
    made.read()

    with monkeypatch.context() as broken:
        broken.setattr(Segments, "append", full)
        made.answer(40)
        with pytest.raises(OSError, match="No space"):
            made.read()
        before = seen(made)
        assert before < 42, "one batch only was read for the record"
        assert not made.counted.step(), "whoever was seen a moment ago may come again"
        assert seen(made) == before
        alone(made)
        assert seen(made) == 42
    made.answer(4)
    made.read()
    alone(made)
    assert (seen(made), len(made.answered)) == (46, 46)


def test_over_rotations_and_restarts(tmp_path: Path) -> None:
    made, counted_so_far = Fixture(tmp_path, batch_bytes=BATCH), 0
    made.answer(1)
    alone(made)
    for turn in range(1, 5):
        made.answer(9)
        if turn % 2:
            made.read()
        made.log.rename(made.log.with_name(f"access.log.{turn}"))
        made.answer(4)
        made.read()
        counted_so_far += seen(made)
        made.restart()
    alone(made)
    assert counted_so_far + seen(made) == len(made.answered) == made.written


def test_what_is_no_line_is_said_of_both(tmp_path: Path) -> None:
    def unreadable() -> float:
        return REGISTRY.get_sample_value("smallmodel_gateway_log_garbage_total", {"reason": "unreadable"}) or 0

    made = Fixture(tmp_path, batch_bytes=BATCH)
    made.answer(1)
    alone(made)
    made.read()
    before = unreadable()
    with made.log.open("ab") as log:
        log.write(b"no line\n")
    made.read()
    alone(made)
    assert unreadable() == before + 1
    assert [record["reason"] for record in made.records if record.get("event") == "log-garbage"] == ["unreadable"]


def test_a_bug_in_who_counts_is_not_the_records_trouble(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    made = Fixture(tmp_path, batch_bytes=BATCH)
    made.answer(1)
    alone(made)
    made.read()
    with monkeypatch.context() as broken:
        broken.setattr(counted, "observe", lambda _: {}["a bug"])
        made.answer(2)
        made.read()
    made.answer(1)
    made.read()
    assert (seen(made), len(made.answered)) == (2, 4)
    assert "could not be counted" in caplog.text


def test_a_position_that_cannot_be_saved_is_told_and_saved_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Fixture(tmp_path, batch_bytes=BATCH)
    made.answer(1)
    alone(made)
    made.read()

    with monkeypatch.context() as broken:
        broken.setattr(Usages, "save", full)
        made.answer(1)
        made.read()
        assert "No space left" in made.counted.problem
    alone(made)
    assert made.counted.problem == ""
    kept = Usages(tmp_path / "access.log.position").load()
    assert kept
    assert kept.offset == made.log.stat().st_size
    assert seen(made) == 2


def test_what_is_unread(tmp_path: Path) -> None:
    made = Fixture(tmp_path, batch_bytes=BATCH)
    assert made.counted.unread == 0
    made.answer(1)
    alone(made)
    made.read()
    made.answer(1)
    assert made.counted.unread == len(line(2))
    with made.counted.following(None):
        made.answer(1)
        assert made.counted.unread == len(line(2)), "asked while somebody reads"
