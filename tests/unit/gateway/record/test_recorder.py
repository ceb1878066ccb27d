"""From lines to committed records: nothing twice, nothing lost, whatever ends the process and wherever."""

import errno
import os
import re
import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.chain import BEGAN, SIGNER, Fixture, line

from smallmodel_operator.audit.head import Head
from smallmodel_operator.audit.record import ORIGIN
from smallmodel_operator.audit.report import Report
from smallmodel_operator.audit.sign import Signer
from smallmodel_operator.cli.audit import check
from smallmodel_operator.cli.audit_files import chains
from smallmodel_operator.gateway import files
from smallmodel_operator.gateway.accesslog.format import FIELDS
from smallmodel_operator.gateway.accesslog.line import fields_of, parse
from smallmodel_operator.gateway.record import recorder, segments
from smallmodel_operator.gateway.record.answer import answer


@pytest.fixture
def no_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing waits for a disk: for tests that write thousands of times."""
    for name in ("fsync", "fdatasync"):
        monkeypatch.setattr(os, name, lambda _: None)


def report(made: Fixture) -> Report:
    (chain,) = chains([str(made.audit)])
    return check(chain)


def events(made: Fixture) -> list[str]:
    return [record["event"] for record in made.records if record["kind"] == "note"]


def ids(first: int, last: int) -> list[str]:
    return [f"request-{number}" for number in range(first, last + 1)]


def test_every_line_is_recorded_once_over_restarts_and_rotations(tmp_path: Path) -> None:
    made = Fixture(tmp_path)
    for number in range(1, 6):
        made.answer(7)
        made.read()
        made.restart()
        if number % 2:
            made.log.rename(made.log.with_name(f"access.log.{number // 2 + 1}"))
    made.read()
    made.stop()
    assert made.answered == ids(1, 35)
    assert report(made).faults == []


def test_the_position_is_in_the_last_record_of_each_commit(tmp_path: Path) -> None:
    made = Fixture(tmp_path)
    made.answer(3)
    made.read()
    commit = made.records[-1]["commit"]
    assert commit["log"]["offset"] == made.log.stat().st_size
    assert (commit["since"], commit["recorded"]) == (made.life, 3)
    assert not list(tmp_path.glob("*position*"))


@pytest.mark.usefixtures("no_disk")
@pytest.mark.parametrize("step", [pytest.param(1, marks=pytest.mark.long), 37])
def test_a_segment_cut_at_every_byte(tmp_path: Path, step: int) -> None:
    """kill -9 while a commit is written: what is not whole is dropped and said, and comes again from the log."""
    (tmp_path / "whole").mkdir()
    made = Fixture(tmp_path / "whole", segment_bytes=1 << 20)
    made.answer(2)
    made.read()
    before = made.segments[0].stat().st_size
    head = (made.audit / "head.json").read_bytes()
    made.answer(3)
    made.read()
    made.stop()
    whole = made.segments[0].read_bytes()
    found = [m.end() for m in re.finditer(rb'"commit":.*\n', whole)]
    ends = [end for end in found if end >= before]
    for size in (*range(before, len(whole), step), len(whole)):
        folder = tmp_path / "cut"
        shutil.copytree(tmp_path / "whole", folder)
        (folder / "access.log").unlink()
        os.link(made.log, folder / "access.log")  # the same file: the position names it
        (folder / "audit" / made.segments[0].name).write_bytes(whole[:size])
        if size < len(whole):
            (folder / "audit" / "head.json").write_bytes(head)
        assert check(chains([str(folder / "audit")])[0]).faults == [], size
        again = Fixture(folder, segment_bytes=1 << 20)
        again.read()
        again.stop()
        assert again.answered == ids(1, 5), size
        assert report(again).faults == [], size
        (began,) = [r for r in again.records if r.get("event") == "agent-began"][1:]
        committed = max(end for end in ends if end <= size)
        assert began.get("dropped_bytes", 0) == size - committed, size
        shutil.rmtree(folder)


@pytest.mark.usefixtures("no_disk")
@pytest.mark.parametrize("step", [pytest.param(1, marks=pytest.mark.long), 37])
def test_the_first_segment_cut_at_every_byte(tmp_path: Path, step: int) -> None:
    made = Fixture(tmp_path)
    made.answer(2)
    made.read()
    made.stop()
    whole = made.segments[0].read_bytes()
    (made.audit / "head.json").write_bytes(Head(0, ORIGIN).dump(SIGNER))
    for size in range(0, len(whole), step):
        made.segments[0].write_bytes(whole[:size])
        made.start()
        made.read()
        made.stop()
        assert made.answered == ids(1, 2), size
        assert report(made).faults == [], size
        (made.audit / "head.json").write_bytes(Head(0, ORIGIN).dump(SIGNER))


def test_a_new_segment_cut_short_is_no_end_of_the_chain(tmp_path: Path) -> None:
    made = Fixture(tmp_path, segment_bytes=1)
    for _ in range(3):
        made.answer()
        made.read()
    made.stop()
    head = (made.audit / "head.json").read_bytes()
    made.segments[-1].write_bytes(made.segments[-1].read_bytes()[:20])
    (made.audit / "head.json").write_bytes(head)
    made.start()
    made.read()
    made.stop()
    assert made.answered == ids(1, 3)
    # The head was newer than what was left of the commit: a disk that lost what it said it had.
    (fault,) = report(made).faults
    (began,) = [r for r in made.records if "lost_after" in r]
    assert (fault.kind, fault.seq, fault.to) == ("missing", began["lost_after"] + 1, began["lost_up_to"])


def test_a_damaged_segment_is_set_aside_and_said(tmp_path: Path) -> None:
    made = Fixture(tmp_path, segment_bytes=1)
    for _ in range(2):
        made.answer()
        made.read()
    made.stop()
    made.segments[-1].write_bytes(b"no record\n")
    made.restart()
    made.read()
    (began,) = [r for r in made.records if "set_aside" in r]
    assert began["lost_up_to"] == began["lost_after"] + 1
    assert list(made.audit.glob("*.damaged"))
    assert [f.kind for f in report(made).faults] == ["missing", "unreadable"]
    assert made.answered == ids(1, 2)


def test_what_is_no_file_does_not_stop_the_record(tmp_path: Path) -> None:
    """Somebody put a folder and a link to nowhere where segments are."""
    made = Fixture(tmp_path)
    made.answer(2)
    made.read()
    made.stop()
    (made.audit / "00000000000000000900.jsonl").mkdir()
    (made.audit / "00000000000000000901.jsonl").symlink_to("gone")
    made.start()
    made.answer(2)
    made.read()
    assert made.answered == ids(1, 4)
    assert [f.kind for f in report(made).faults] == ["unreadable"]
    assert len(list(made.audit.glob("*.damaged"))) == 2


def zeros(made: Fixture, first: int, last: int) -> None:
    """What a node leaves that lost its power before the disk had these bytes of the last segment."""
    data = made.segments[-1].read_bytes()
    made.segments[-1].write_bytes(data[:first] + b"\0" * (last - first) + data[last:])


@pytest.mark.usefixtures("no_disk")
@pytest.mark.parametrize("segment_bytes", [1 << 20, 1])
def test_a_node_that_lost_its_power_within_a_commit(tmp_path: Path, segment_bytes: int) -> None:
    """Zeros in the commit that was written, its end there or not: all of it comes again from the log."""
    made = Fixture(tmp_path, segment_bytes=segment_bytes)
    made.answer(2)
    made.read()
    head, end = (made.audit / "head.json").read_bytes(), made.segments[-1].stat().st_size
    before = made.segments[-1].name
    made.recorder.note("before the answers, in one commit with the first of them")
    made.answer(3)
    made.read()
    made.stop()
    path = next(p for p in made.segments if p.name >= before and (segment_bytes > 1 or p.name > before))
    begin, whole = end if path.name == before else 0, path.read_bytes()
    commit = whole[begin:].index(b"\n", whole[begin:].index(b'"commit":')) + 1 + begin
    path.write_bytes(whole[:commit])
    for first, last in ((begin, commit - 300), (begin + 10, begin + 60), (begin + 200, commit)):
        for name in (p for p in made.segments if p > path):
            name.unlink()
        path.write_bytes(whole[:commit])
        (made.audit / "head.json").write_bytes(head)
        zeros(made, first, last)
        assert report(made).faults == []
        assert report(made).tail == commit - begin
        made.start()
        made.read()
        made.stop()
        assert made.answered == ids(1, 5), (first, last)
        assert report(made).faults == []
        dropped = [r["dropped_bytes"] for r in made.records if r.get("dropped_bytes")]
        assert dropped == [commit - begin]


def test_zeros_in_what_was_committed_are_damage(tmp_path: Path) -> None:
    made = Fixture(tmp_path, segment_bytes=1 << 20)
    made.answer(5)
    made.read()
    made.stop()
    zeros(made, 100, 200)
    made.restart()
    made.answer(1)
    made.read()
    assert [f.kind for f in report(made).faults] == ["unreadable"]


def test_what_is_taken_away_before_a_restart_is_found_after_it(tmp_path: Path) -> None:
    """The agent goes on with what is left, and the chain says what was gone."""
    made = Fixture(tmp_path, segment_bytes=1)
    for _ in range(4):
        made.answer()
        made.read()
    made.stop()
    whole = len(made.records)
    made.segments[-1].unlink()
    made.segments[-1].unlink()
    made.start()
    made.read()
    made.stop()
    (fault,) = report(made).faults
    assert (fault.kind, fault.to) == ("missing", whole)
    (made.audit / "head.json").unlink()
    made.start()
    made.read()
    assert [f.kind for f in report(made).faults] == ["missing", "head"]


def full(made: Fixture, monkeypatch: pytest.MonkeyPatch, after: int = 0) -> None:
    """The disk takes so many bytes more."""
    left = [after]

    def write(descriptor: int, data: Any) -> int:
        if left[0] <= 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        count = os.write(descriptor, data[: left[0]])
        left[0] -= count
        return count

    monkeypatch.setattr(files, "os", _Os(write))


class _Os:
    """os with another write."""

    def __init__(self, write: Any) -> None:
        self.write = write

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)


@pytest.mark.parametrize("room", [0, 1, 700, 900])
def test_a_full_disk_loses_nothing_and_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int) -> None:
    made = Fixture(tmp_path)
    made.answer(2)
    made.read()
    size = made.segments[-1].stat().st_size
    made.answer(2)
    full(made, monkeypatch, room)
    for _ in range(3):
        with pytest.raises(OSError):
            made.read()
        made.recorder.refresh()  # as between two counts
        assert made.recorder.failed == "No space left on device"
    assert made.segments[-1].stat().st_size == size
    assert made.recorder.recorded == 2, "what waits is not recorded"
    monkeypatch.undo()
    made.read()
    assert made.recorder.failed == ""
    assert made.recorder.recorded == 4
    assert made.answered == ids(1, 4)
    assert events(made).count("writing-failed") == 1
    assert report(made).faults == []


def test_a_disk_that_does_not_even_let_a_piece_be_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a failed write left is cut off before the next one, not left in the middle of the chain."""
    made = Fixture(tmp_path, segment_bytes=1 << 20)
    made.answer(2)
    made.read()
    made.answer(2)
    full(made, monkeypatch, 500)

    def no(_: int, __: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(segments.os, "ftruncate", no, raising=False)
    for _ in range(2):
        with pytest.raises(OSError):
            made.read()
    monkeypatch.undo()
    made.read()
    assert made.answered == ids(1, 4)
    assert report(made).faults == []


def test_nothing_more_is_committed_while_the_head_cannot_be_signed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So never more than one commit stands after it."""
    made = Fixture(tmp_path)
    made.answer(2)
    made.read()

    def no(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(recorder, "replace_durably", no)
        for _ in range(3):
            made.answer()
            with pytest.raises(OSError):
                made.read()
        assert Head.load((made.audit / "head.json").read_bytes()).seq < made.recorder.seq
        assert made.answered == ids(1, 3)
    made.read()
    assert made.answered == ids(1, 5)
    assert Head.load((made.audit / "head.json").read_bytes()).seq == made.recorder.seq


def test_a_full_disk_and_then_a_restart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Fixture(tmp_path)
    made.answer(2)
    made.read()
    made.answer(2)
    full(made, monkeypatch)
    with pytest.raises(OSError):
        made.read()
    monkeypatch.undo()
    made.restart()
    made.read()
    assert made.answered == ids(1, 4)


def test_the_log_is_on_the_disk_before_its_record(tmp_path: Path) -> None:
    """Else a node that loses its power could forget lines that are recorded, and number new ones over them."""
    order: list[str] = []
    made = Fixture(tmp_path, sync=lambda: order.append("log"))
    made.answer()
    made.read()
    assert order
    assert made.answered == ids(1, 1)


def test_another_envoy_begins_another_count(tmp_path: Path) -> None:
    made = Fixture(tmp_path)
    made.answer(3)
    made.read()
    made.recorder.count({"finished": 5, "missing": 2})
    made.answer(2)
    made.life = (BEGAN + timedelta(milliseconds=6)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    made.answer(4)  # the first of them still of the old one
    made.read()
    assert (made.recorder.since, made.recorder.recorded) == (made.life, 4)
    (note,) = [r for r in made.records if r.get("event") == "envoy-began"]
    assert note["before"] == {"since": "2026-11-21T12:00:00.000000Z", "recorded": 5, "finished": 5, "missing": 2}
    made.restart()
    assert (made.recorder.since, made.recorder.recorded) == (made.life, 4)


def test_another_envoy_is_seen_before_it_serves(tmp_path: Path) -> None:
    made = Fixture(tmp_path)
    made.answer(3)
    made.read()
    made.life = "2026-11-21T13:00:00.000000Z"
    made.recorder.refresh()
    made.recorder.refresh()
    assert (made.recorder.since, made.recorder.recorded) == (made.life, 0)
    assert events(made).count("envoy-began") == 1


def test_garbage_and_lost_files_of_the_log_are_said(tmp_path: Path) -> None:
    made = Fixture(tmp_path)
    made.answer(1)
    made.read()
    with made.log.open("ab") as log:
        log.write(b"no line\n")
    made.answer(1)
    made.read()
    made.stop()
    made.log.rename(tmp_path / "access.log.1")
    (tmp_path / "access.log.1").unlink()
    (tmp_path / "elsewhere").touch()  # takes the inode that was free
    made.answer(1)
    made.start()
    made.read()
    reasons = [r["reason"] for r in made.records if r.get("event") == "log-garbage"]
    assert reasons == ["unreadable", "missing"]
    assert made.answered == ids(1, 3)


def test_old_segments_go_by_size_and_by_age_and_the_chain_says_so(tmp_path: Path) -> None:
    made = Fixture(tmp_path, segment_bytes=2000)
    made.answer(60)
    made.read()
    count = len(made.segments)
    assert count > 5
    assert made.recorder.retain(1 << 20, BEGAN - timedelta(days=1)) == {}
    removed = made.recorder.retain(made.recorder.size() - 3000, BEGAN - timedelta(days=1))
    assert removed["size"] > 0
    assert report(made).faults == []
    first = report(made).first
    assert removed["size"] == first - 1
    old = made.segments[0]
    os.utime(old, (1, 1))
    assert list(made.recorder.retain(1 << 30, BEGAN - timedelta(days=1))) == ["age"]
    made.recorder.checkpoint([])
    assert report(made).faults == []
    # The same taken away by somebody else is not said by the chain.
    made.segments[0].unlink()
    assert [(f.kind, f.seq) for f in report(made).faults] == [("missing", 1)]


def test_a_day_has_segments_of_its_own_over_restarts(tmp_path: Path) -> None:
    """Few answers would stay for years in a segment that is never full."""
    made = Fixture(tmp_path, segment_bytes=1 << 20)
    made.answer(1)
    made.read()
    made.restart()
    made.answer(1)
    made.read()
    assert len(made.segments) == 1
    made.passed = timedelta(hours=12)
    made.answer(1)
    made.read()
    assert len(made.segments) == 2
    made.passed = timedelta(hours=36)
    made.restart()
    made.answer(1)
    made.read()
    assert len(made.segments) == 3
    assert (report(made).faults, made.answered) == ([], ids(1, 4))


def test_the_newest_segment_is_over_when_nothing_is_written_any_more(tmp_path: Path) -> None:
    made = Fixture(tmp_path)
    assert not segments.ended(tmp_path / "audit", BEGAN), "there is none"
    made.answer(2)
    made.read()
    [only] = made.segments
    os.utime(only, (1, 1))
    assert segments.ended(made.audit, BEGAN - timedelta(days=400))
    made.passed = timedelta(days=400)
    made.recorder.checkpoint([])
    assert not segments.ended(made.audit, BEGAN - timedelta(days=400))
    assert set(made.recorder.retain(1 << 30, BEGAN - timedelta(days=400))) == {"age"}
    assert not only.exists()
    assert (report(made).faults, report(made).answers) == ([], 0)


def test_a_new_key_is_said(tmp_path: Path) -> None:
    made = Fixture(tmp_path)
    made.recorder.checkpoint([])
    other = Signer(b"o" * 32)
    made.recorder.resign(other)
    made.recorder.checkpoint([])
    found = report(made)
    assert found.faults == []
    assert found.keys == [SIGNER.public, other.public]
    assert other.public in found.warnings[0]
    assert "key-changed" in events(made)


def test_a_key_nobody_handed_over_to_is_a_fault(tmp_path: Path) -> None:
    """The Secret was made anew while no agent ran, or somebody without it went on with the chain."""
    made = Fixture(tmp_path)
    made.recorder.checkpoint([])
    made.stop()
    other = Signer(b"o" * 32)
    made.signer = other
    made.start()
    made.recorder.note("key-changed", before=SIGNER.public, now=other.public)
    made.recorder.checkpoint([])
    found = report(made).faults
    assert [(fault.kind, fault.file) for fault in found] == [
        ("strange-key", made.segments[-1].name),
        ("strange-key", "head.json"),
    ]
    assert "hands over" in found[0].detail
    (chain,) = chains([str(made.audit)])
    assert check(chain, [SIGNER.public, other.public]).faults == []


def test_a_key_that_could_not_hand_over_yet_signs_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Fixture(tmp_path)
    made.answer(1)
    made.read()
    other = Signer(b"o" * 32)
    full(made, monkeypatch)
    for _ in range(2):
        with pytest.raises(OSError):
            made.recorder.resign(other)
    monkeypatch.undo()
    made.recorder.resign(other)
    made.recorder.checkpoint([])
    assert events(made).count("key-changed") == 1
    assert report(made).faults == []
    assert report(made).keys == [SIGNER.public, other.public]


def test_only_known_fields_of_their_type_get_into_a_record(tmp_path: Path) -> None:
    found = fields_of(answer(parse(line(1, prompt="a secret", **{"slm.attempts": "two", "url.path": None}))))
    assert set(found) <= {*FIELDS, "kind"}
    assert "slm.attempts" not in found
    assert "url.path" not in found
    for text in (b"[]", b"{}", b"no", b"[" * 100_000, b'{"time":"t"}'):
        with pytest.raises(ValueError):
            answer(parse(text))


def test_text_that_is_no_unicode_is_recorded_all_the_same(tmp_path: Path) -> None:
    made = Fixture(tmp_path)
    made.answer(**{"gen_ai.request.model": "\ud800x"})
    made.read()
    assert made.records[-1]["gen_ai.request.model"] == "?x"
    assert report(made).faults == []
