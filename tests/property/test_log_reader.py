"""However a log grows, is set aside, cut up and read: each line is handed on once and in order.

A process killed between handing on and saving is modelled as one whose counts die with it: what its successor hands
on again is what was not saved, no line more and none less.
"""

import shutil
import tempfile
from collections import Counter
from pathlib import Path
from unittest import mock

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from smallmodel_operator.gateway.accesslog import position
from smallmodel_operator.gateway.accesslog.position import Position, save
from smallmodel_operator.gateway.accesslog.read import LogReader

BATCH = 64


class Killed(BaseException):
    """The process ends here."""


class Log(RuleBasedStateMachine):
    """A writer, a rotator and a reader that is killed now and then."""

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.log = self.folder / "access.log"
        self.writer = self.log.open("ab", buffering=0)
        self.written: list[bytes] = []
        self.part = b""
        self.torn = self.long = self.number = 0
        self.lines: list[bytes] = []
        self.saved = 0
        self.garbage: Counter[str] = Counter()
        self.kept_garbage: Counter[str] = Counter()
        self.kill = ""
        self.patch = mock.patch.object(position, "save", self.save)
        self.patch.start()
        self.start()

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            try:
                self.finish()
            finally:
                self.patch.stop()
                self.reader.close()
                self.writer.close()
                shutil.rmtree(self.folder)

    # -- the reader's process ----------------------------------------------------------------------------------

    def start(self) -> None:
        self.reader = LogReader(self.log, self.folder / "position", self.take, on_garbage=self.count, batch_bytes=BATCH)

    def take(self, line: bytes) -> None:
        self.lines.append(line)
        if self.kill == "reading":
            raise Killed

    def count(self, reason: str) -> None:
        self.garbage[reason] += 1

    def save(self, path: Path, position: Position) -> None:
        if self.kill == "before saving":
            raise Killed
        save(path, position)
        self.saved, self.kept_garbage = len(self.lines), self.garbage.copy()
        if self.kill == "after saving":
            raise Killed

    def step(self) -> bool:
        try:
            return self.reader.step()
        except Killed:
            self.reader.close()
            del self.lines[self.saved :]
            self.garbage, self.kill = self.kept_garbage.copy(), ""
            self.start()
            return True

    # -- what happens ------------------------------------------------------------------------------------------

    @rule(data=st.binary(max_size=40).map(lambda b: b.replace(b"\n", b"")), whole=st.booleans())
    def write(self, data: bytes, whole: bool) -> None:
        self.part += data
        self.writer.write(data + b"\n" * whole)
        if whole:
            self.end_line()

    def end_line(self) -> None:
        # What fits no batch is given up; whether the longest ones fit depends on where a batch begins.
        self.written.append(self.part)
        self.part = b""

    @precondition(lambda self: len(self.part) < BATCH)
    @rule(torn=st.booleans())
    def rotate(self, torn: bool) -> None:
        if not torn and self.part:
            self.writer.write(b"\n")
            self.end_line()
        self.torn += bool(self.part)
        self.part = b""
        self.number += 1
        self.log.rename(self.log.with_name(f"access.log.{self.number}"))
        self.step()
        self.writer.close()
        self.writer = self.log.open("ab", buffering=0)

    @rule(times=st.integers(1, 5))
    def read(self, times: int) -> None:
        for _ in range(times):
            self.step()

    @rule(when=st.sampled_from(["reading", "before saving", "after saving"]))
    def killed(self, when: str) -> None:
        self.kill = when
        self.step()
        self.kill = ""

    @rule()
    def restart(self) -> None:
        self.reader.close()
        self.start()

    def finish(self) -> None:
        while self.step():
            pass
        wanted = [line for line in self.written if len(line) < BATCH]
        assert self.lines == wanted
        if all(len(line) < BATCH for line in (*self.written, self.part)):
            assert self.garbage["torn"] <= self.torn
            assert self.garbage["too-long"] == 0
        assert self.garbage["truncated"] == 0


TestLog = Log.TestCase
TestLog.settings = settings(max_examples=2 * settings().max_examples, stateful_step_count=40, deadline=None)
