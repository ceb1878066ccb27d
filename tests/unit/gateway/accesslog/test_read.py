"""The reader of the access log: every line once, whatever happens to the file."""

import asyncio
import json
import logging
import os
from collections import Counter
from pathlib import Path

import pytest
from tests.fakes.clock import until

from smallmodel_operator.gateway.accesslog import position
from smallmodel_operator.gateway.accesslog.position import load
from smallmodel_operator.gateway.accesslog.read import LogReader


class Reading:
    """A log, its readers one after the other, and what they handed on."""

    def __init__(self, folder: Path) -> None:
        self.log, self.state = folder / "access.log", folder / "access.log.position"
        self.lines: list[bytes] = []
        self.garbage: Counter[str] = Counter()
        self.restart()

    def restart(self, batch_bytes: int = 4096) -> None:
        self.reader = LogReader(
            self.log, self.state, self.take, on_garbage=self.count, poll_seconds=0.001, batch_bytes=batch_bytes
        )

    def take(self, line: bytes) -> None:
        if line.startswith(b"bad"):
            raise ValueError("no line")
        self.lines.append(line)

    def count(self, reason: str) -> None:
        self.garbage[reason] += 1

    def write(self, data: bytes) -> None:
        with self.log.open("ab") as file:
            file.write(data)

    def drain(self) -> list[bytes]:
        """What is handed on until there is no more."""
        before = len(self.lines)
        while self.reader.step():
            pass
        return self.lines[before:]


@pytest.fixture
def reading(tmp_path: Path) -> Reading:
    return Reading(tmp_path)


def test_waits_for_the_file_and_for_whole_lines(reading: Reading) -> None:
    assert reading.drain() == []
    reading.write(b"one\ntw")
    assert reading.drain() == [b"one"]
    reading.write(b"o\nthree\n")
    assert reading.drain() == [b"two", b"three"]
    assert reading.reader.unread == 0


def test_who_has_it_all_need_not_look_again_at_once(reading: Reading) -> None:
    reading.restart(batch_bytes=8)
    reading.write(b"one\ntwo\nthree\n")
    assert reading.reader.step()  # a full batch: there may be more
    assert not reading.reader.step()
    assert reading.lines == [b"one", b"two", b"three"]
    reading.write(b"four\n")
    reading.log.rename(reading.log.with_name("access.log.1"))
    assert reading.reader.step()  # another file follows


def test_a_restart_goes_on_where_it_stopped(reading: Reading) -> None:
    reading.write(b"one\ntw")
    reading.drain()
    reading.reader.close()
    reading.write(b"o\n")
    reading.restart()
    assert reading.drain() == [b"two"]


def test_reads_the_old_file_to_its_end_before_the_new_one(reading: Reading) -> None:
    reading.write(b"one\n")
    reading.drain()
    writer = reading.log.open("ab", buffering=0)
    reading.log.rename(reading.log.with_name("access.log.1"))
    writer.write(b"two\n")  # Envoy has not reopened it yet
    assert reading.drain() == [b"two"]
    writer.write(b"three\n")
    writer.close()
    reading.write(b"four\n")
    assert reading.drain() == [b"three", b"four"]


def test_several_rotations_while_nobody_read(reading: Reading) -> None:
    reading.write(b"a1\na2\n")
    reading.restart(batch_bytes=3)
    reading.reader.step()
    reading.reader.close()
    for number in range(8, 12):  # 9 comes before 10
        reading.log.rename(reading.log.with_name(f"access.log.{number}"))
        reading.write(f"b{number}\n".encode())
    reading.restart()
    reading.drain()
    assert reading.lines == [b"a1", b"a2", b"b8", b"b9", b"b10", b"b11"]


def test_the_file_it_was_in_is_gone(reading: Reading) -> None:
    reading.write(b"one\n")
    reading.drain()
    reading.reader.close()
    reading.log.rename(reading.log.with_name("access.log.1"))
    for number in (2, 3):
        reading.write(f"in{number}\n".encode())
        reading.log.rename(reading.log.with_name(f"access.log.{number}"))
    reading.write(b"last\n")
    reading.log.with_name("access.log.1").unlink()
    reading.restart()
    assert reading.drain() == [b"in2", b"in3", b"last"]


def test_another_file_with_the_same_inode(reading: Reading) -> None:
    reading.write(b"one\ntwo\n")
    reading.drain()
    reading.reader.close()
    with reading.log.open("r+b") as file:  # the same inode, longer than before, with another beginning
        file.write(b"uno\ndue\ntre\n")
    reading.restart()
    assert reading.drain() == [b"uno", b"due", b"tre"]


@pytest.mark.parametrize("after", [b"x\n", b"a much longer beginning than before\nx\n"])
def test_truncated_in_place(reading: Reading, after: bytes) -> None:
    reading.write(b"one\ntwo\n")
    reading.drain()
    os.truncate(reading.log, 0)
    reading.write(after)
    assert reading.drain() == after.splitlines()
    assert reading.garbage == {"truncated": 1}


def test_garbage_is_counted_and_passed(reading: Reading) -> None:
    reading.write(b"one\nbad\n\xff\0\n" + b"x" * 20_000 + b"\ntwo\n")
    assert reading.drain() == [b"one", b"\xff\0", b"two"]
    assert reading.garbage == {"unreadable": 1, "too-long": 1}


def test_a_line_torn_by_a_crash(reading: Reading) -> None:
    reading.write(b"one\ntor")
    reading.log.rename(reading.log.with_name("access.log.1"))
    reading.write(b"two\n")
    assert reading.drain() == [b"one", b"two"]
    assert reading.garbage == {"torn": 1}


def test_a_restart_in_a_line_that_is_too_long(reading: Reading) -> None:
    reading.restart(batch_bytes=10)
    reading.write(b"x" * 15)
    reading.drain()
    reading.reader.close()
    reading.write(b"x\ntwo\n")
    reading.restart(batch_bytes=10)
    assert reading.drain() == [b"two"]
    assert reading.garbage == {"too-long": 1}


def test_a_bug_in_who_counts_stops_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    seen = []

    def on_line(line: bytes) -> None:
        seen.append({}[line] if line == b"two" else line)

    (tmp_path / "access.log").write_bytes(b"one\ntwo\nthree\n")
    garbage: list[str] = []
    reader = LogReader(tmp_path / "access.log", tmp_path / "position", on_line, on_garbage=garbage.append)
    while reader.step():
        pass
    reader.close()
    assert (seen, garbage) == ([b"one", b"three"], ["failed"])
    assert "could not be counted" in caplog.text


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"7", b'{"inode": "x"}', b'{"inode": 1, "other": 2}', b"\xff"])
def test_a_broken_position_is_said_and_loses_no_line(
    reading: Reading, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    reading.write(b"one\n")
    reading.log.rename(reading.log.with_name("access.log.1"))
    reading.write(b"two\n")
    reading.state.write_bytes(content)
    assert reading.drain() == [b"one", b"two"]
    assert "is not a position in a log" in caplog.text


async def test_runs_until_cancelled_and_repeats_nothing(reading: Reading) -> None:
    for start in range(0, 2000, 500):
        task = asyncio.create_task(reading.reader.run())
        for number in range(start, start + 500):
            reading.write(b"%d\n" % number)
            if number % 100 == 0:
                await asyncio.sleep(0)
        if start % 1000:
            await until(lambda wanted=start + 500: len(reading.lines) == wanted, 5)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        reading.restart(batch_bytes=64)
    reading.drain()
    assert reading.lines == [b"%d" % number for number in range(2000)]


async def test_a_full_disk_is_said_and_stops_nothing(
    reading: Reading, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(position, "save", full)
        task = asyncio.create_task(reading.reader.run())
        reading.write(b"one\n")
        await until(lambda: "No space left" in reading.reader.problem, 5)
        reading.write(b"two\n")
        await until(lambda: len(reading.lines) == 2, 5)
    reading.write(b"three\n")
    await until(lambda: len(reading.lines) == 3, 5)
    await until(lambda: reading.reader.problem == "", 5)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert reading.lines == [b"one", b"two", b"three"]
    kept = load(reading.state)
    assert kept is not None
    assert kept.offset == len(b"one\ntwo\nthree\n")
    assert any(r.levelno == logging.ERROR for r in caplog.records)


def test_written_between_reading_and_seeing_the_new_file(reading: Reading, monkeypatch: pytest.MonkeyPatch) -> None:
    reading.write(b"one\n")
    reading.drain()
    following = reading.reader._following

    def late() -> object:
        if reading.log.exists() and not reading.log.with_name("access.log.1").exists():
            reading.write(b"two\n")
            reading.log.rename(reading.log.with_name("access.log.1"))
            reading.write(b"three\n")
        return following()

    monkeypatch.setattr(reading.reader, "_following", late)
    assert reading.drain() == [b"two", b"three"]


def test_a_line_behind_one_that_broke_off_is_not_lost(reading: Reading) -> None:
    """Envoy was killed within a line, or the disk was full, and what it wrote next stands behind it."""
    taken: list[bytes] = []

    def take(line: bytes) -> None:
        if "id" not in json.loads(line):
            raise ValueError("no line")
        taken.append(line)

    reading.reader = LogReader(reading.log, reading.state, take, on_garbage=reading.count)
    whole = b'{"id":1,"model":"x{","last":"{"}'
    for size in range(1, len(whole)):
        reading.write(whole[:size] + whole + b"\n")
    reading.drain()
    assert taken == [whole] * (len(whole) - 1)
    assert reading.garbage == {"torn": len(whole) - 1}
    reading.write(whole[:9] + whole[:7] + whole + b"\n" + whole[:20] + b"\n" + b'{"' * 1000 + b"\n")
    reading.drain()
    assert len(taken) == len(whole)
    assert reading.garbage == {"torn": len(whole), "unreadable": 2}
