"""However metrics and record take turns at a log, are killed and fail: each line is counted once and recorded once.

Usage is counted over restarts; the metrics are those of a process, and begin anew with it.
"""

import errno
import shutil
import tempfile
from pathlib import Path
from unittest import mock

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from tests.fakes.chain import Fixture

from smallmodel_operator.gateway.accesslog.counted import FOLLOW_SECONDS
from smallmodel_operator.gateway.record.segments import Segments


class Both(RuleBasedStateMachine):
    """A log that is written and set aside, and the two that read it."""

    @initialize(batch=st.integers(600, 3000))
    def begin(self, batch: int) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.made = Fixture(self.folder, batch_bytes=batch)
        self.number, self.before = 0, 0

    def teardown(self) -> None:
        if hasattr(self, "made"):
            try:
                self.finish()
            finally:
                self.made.stop()
                shutil.rmtree(self.folder)

    def counted(self) -> int:
        labels = {"namespace": "support", "model": "bot", "caller_class": "none", "code": "200"}
        return self.before + int(self.made.metrics.get_sample_value("smallmodel_gateway_requests_total", labels) or 0)

    @rule(number=st.integers(1, 8))
    def write(self, number: int) -> None:
        self.made.answer(number)

    @rule()
    def rotate(self) -> None:
        if self.made.log.exists():
            self.number += 1
            self.made.log.rename(self.made.log.with_name(f"access.log.{self.number}"))

    @rule()
    def record(self) -> None:
        self.made.read()

    @rule()
    def record_a_batch(self) -> None:
        self.made.reader.step()
        if self.made.recorder.waiting:
            self.made.recorder.commit()

    @rule()
    def fail_to_record(self) -> None:
        with mock.patch.object(Segments, "append", side_effect=OSError(errno.ENOSPC, "full")):
            try:
                self.made.read()
            except OSError:
                return

    @rule(later=st.sampled_from([0.1, FOLLOW_SECONDS + 1]), times=st.integers(1, 3))
    def count(self, later: float, times: int) -> None:
        self.made.now += later
        for _ in range(times):
            self.made.counted.step()

    @rule()
    def restart(self) -> None:
        """Ended in good order: what waits is committed first."""
        self.made.read()
        self.before = self.counted()
        self.made.restart()

    @rule()
    def kill(self) -> None:
        """What was read for the record and not committed is read again; metrics counted it, and said so."""
        self.before = self.counted()
        self.made.restart()

    def finish(self) -> None:
        self.made.read()
        self.made.now += FOLLOW_SECONDS + 1
        while self.made.counted.step():
            pass
        assert self.counted() == self.made.written
        usage = self.made.counted.usage() or {"models": {}}
        assert usage["models"].get("support/bot", [0])[0] == self.made.written, "over all restarts and kills"
        assert self.made.answered == [f"request-{n}" for n in range(1, self.made.written + 1)]


TestBoth = Both.TestCase
TestBoth.settings = settings(max_examples=2 * settings().max_examples, stateful_step_count=30, deadline=None)
