"""From lines of the access log to committed records. Everything here runs in the recorder's thread.

How far the log was read is kept in the last record of each commit and nowhere else, so the two cannot disagree: a line
is recorded and passed in the log by the same write, or neither.
"""

import logging
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from msgspec import UNSET

from smallmodel_operator.audit.head import Head
from smallmodel_operator.audit.record import CONTENT, Kind
from smallmodel_operator.audit.sign import Signer
from smallmodel_operator.audit.verify import BEGAN, HEAD, KEY_CHANGED, REMOVED
from smallmodel_operator.gateway.accesslog.position import Position
from smallmodel_operator.gateway.files import replace_durably
from smallmodel_operator.gateway.record.answer import answer, stamp
from smallmodel_operator.gateway.record.beside import remove, size_of
from smallmodel_operator.gateway.record.pending import Mark, Pending
from smallmodel_operator.gateway.record.segments import Segments, beginning, segments

SEGMENT_BYTES: Final = 8 * 1024 * 1024
logger = logging.getLogger(__name__)


class Recorder:
    """One chain. `life` says since when the Envoy that writes the log has been running (its stamp; empty: unknown)."""

    def __init__(
        self,
        folder: Path,
        gateway: str,
        signer: Signer,
        *,
        life: Callable[[], str],
        sync: Callable[[], None] = lambda: None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        segment_bytes: int = SEGMENT_BYTES,
    ) -> None:
        """`sync`: has the log on the disk up to what was read, before more is recorded of it than may be there."""
        self.folder = folder
        self.sync = sync
        self.seq, self.hash = 0, ""
        self.since, self.recorded = "", 0
        """Since when the Envoy of now runs, and how many of its requests are recorded."""
        self.answers = 0
        """Recorded since this process began."""
        self.explained: Container[object] = frozenset()
        """Policies that are recorded; of any other `explain` is told before the answer that names it is recorded."""
        self.explain: Callable[[str], None] = lambda _: None
        self.failed = ""
        """Why the last commit did not succeed; empty: it did."""
        self._gateway, self._signer, self._life, self._clock = gateway, signer, life, clock
        self._segments = Segments(folder, segment_bytes, clock)
        self._pending = Pending(0, "", self._sign)
        self._position: Position | None = None
        self._head_due = False
        self._handed_to = signer.public
        self._last_counts: Mapping[str, Any] = {}
        self._told = ("", False)
        """The life of Envoy, and the failure, that a note tells of already."""

    # -- beginning ---------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Find the end of the chain; what a crash left behind it is cut off, and said in the chain.

        Raises:
            OSError: the folder cannot be read or written.
        """
        known = self._known_head()
        found = self._segments.open(known.seq if isinstance(known, Head) else 0)
        self.seq, self.hash = found.seq, found.hash
        self._pending = Pending(found.seq, found.hash, self._sign)
        commit = found.commit or {}
        self._position = Position.of(commit.get("log"))
        self.since, self.recorded = str(commit.get("since", "")), int(commit.get("recorded", 0))
        if known is None and self.seq:
            known = "it was gone"
        if not self.seq:
            self.note("chain-began", gateway=self._gateway)
            if known is None:
                self._write_head()  # from now on there is always one: without, what is cut off is not seen
        said: dict[str, Any] = {"key": self._signer.public}
        if found.dropped_bytes:
            said |= {"dropped_bytes": found.dropped_bytes, "dropped_records": found.dropped_records}
        if found.set_aside:
            said["set_aside"] = list(found.set_aside)
        if isinstance(known, str):
            said["head"] = known
        elif known is not None and known.seq > self.seq:
            said |= {"lost_after": self.seq, "lost_up_to": known.seq}
        self.note(BEGAN, **said)
        for name in said.keys() & {"set_aside", "head", "lost_after"}:
            logger.error("records of %s are damaged or lost: %s is %s", self.folder, name, said[name])

    def _known_head(self) -> Head | str | None:
        try:
            return Head.load((self.folder / HEAD).read_bytes())
        except FileNotFoundError:
            return None
        except ValueError as error:
            return str(error)

    # -- what is recorded --------------------------------------------------------------------------------------

    def take(self, line: Any) -> None:
        """A `Line` of the log, to be recorded with the next commit.

        Raises:
            ValueError: it is none.
        """
        body = answer(line)
        if body.slm_policy is not UNSET and body.slm_policy not in self.explained:
            self.explain(body.slm_policy)
        self._pending.add(body)

    def on_garbage(self, reason: str) -> None:
        """Something in the log was no line."""
        self.note("log-garbage", reason=reason)

    def note(self, event: str, **said: Any) -> None:
        """Something happened that readers of the chain have to know."""
        self.add({"kind": Kind.NOTE, "event": event, **said})

    def add(self, body: Mapping[str, Any]) -> int:
        """Any other record; its number."""
        self._pending.add({"time": stamp(self._clock()), **body})
        return self.end

    def keep(self, content: bytes) -> None:
        """A line that the record added next names."""
        self._pending.keep(content)

    @property
    def end(self) -> int:
        """Number of the last record, committed or not."""
        return self._pending.end

    def resign(self, signer: Signer) -> None:
        """From now on another key signs. The one before hands over to it: else anybody's key could follow it.

        Raises:
            OSError: that cannot be written; the one before still signs.
        """
        if self._handed_to != signer.public:
            self.note(KEY_CHANGED, before=self._signer.public, now=signer.public)
            self._handed_to = signer.public
        self.commit()
        self._signer = signer

    def _sign(self, body: Mapping[str, Any]) -> dict[str, Any]:
        return self._signer.sign(body)

    def checkpoint(self, requests: Sequence[Mapping[str, Any]]) -> None:
        """Sign for all records so far. `requests`: Envoy's count beside ours.

        Raises:
            OSError: it cannot be written.
        """
        self.add({"kind": Kind.CHECKPOINT, "gateway": self._gateway, "requests": requests})
        self.commit()

    def count(self, requests: Mapping[str, Any]) -> None:
        """Keep the last word on this life of Envoy for the note that says it ended."""
        self._last_counts = requests

    # -- what is committed -------------------------------------------------------------------------------------

    @property
    def position(self) -> Position | None:
        """How far the log was read, with what waits; None: not at all."""
        return self._position

    def read_up_to(self, position: Position) -> None:
        """What was read up to here is committed by the next `commit`, with the position."""
        if self._position is None or position.inode != self._position.inode:
            self.note("log-opened")
        self._position = position

    @property
    def opened(self) -> bool:
        return bool(self.hash)

    def mark(self) -> Mark:
        """Where what waits ends now."""
        return self._pending.mark()

    def back_to(self, mark: Mark) -> None:
        """Forget what was added after a mark; what was committed since stays."""
        self._pending.back_to(mark)

    @property
    def waiting(self) -> bool:
        """Something is not committed yet."""
        return bool(self._pending) or self._head_due

    def commit(self, *, head: bool = True, sync: bool = True) -> None:
        """Write what waits, sync it, and sign its end. `head` and `sync`: else they follow later, for who waits.

        Raises:
            OSError: it is not on the disk; try again.
        """
        try:
            if self._head_due and head:  # never more than one commit after it
                self._write_head()
            if self._pending:
                self._commit(sync)
            if self._head_due and head:
                self._write_head()
            self.failed = ""
        except OSError as error:
            self.failed = error.strerror or str(error)
            raise

    def _commit(self, sync: bool) -> None:
        self.sync()
        if self.failed and not self._told[1]:
            self.note("writing-failed", error=self.failed)
            self._told = (self._told[0], True)
        since, recorded = self._lives()
        log = asdict(self._position) if self._position else None
        commit: dict[str, Any] = {"log": log, "since": since, "recorded": recorded}
        if beside := self._segments.ready(self.seq + 1) + len(content := self._pending.content):
            commit[CONTENT] = beside
        data, seq, made = self._pending.whole(commit)
        self._segments.append(data, self.seq + 1, content=content, sync=sync)
        self.answers += len(self._pending.answered)
        self._pending = Pending(seq, made, self._sign)
        self._told = (since, False)
        self.seq, self.hash, self.since, self.recorded = seq, made, since, recorded
        self._head_due = True

    def _lives(self) -> tuple[str, int]:
        """Since when the Envoy of now runs, and how many of its requests are recorded with what waits. Asked after the
        lines were read: whoever wrote them had begun before."""
        since, recorded = self._life() or self.since, self.recorded
        times = self._pending.answered
        if since == self.since:
            return since, recorded + sum(time >= since for time in times)
        ended = {"since": self.since, "recorded": recorded + sum(self.since <= time < since for time in times)}
        if self.since and self._told[0] != since:
            # Its count went with it; what it had served and not yet written is known as far as it was counted.
            self.note("envoy-began", since=since, before={**self._last_counts, **ended})
            self._told = (since, self._told[1])
        return since, sum(time >= since for time in times)

    def refresh(self) -> None:
        """Look whether another Envoy writes the log now, though no line of it has been read.

        Raises:
            OSError: that cannot be recorded.
        """
        since, recorded = self._lives()
        if not self._pending:
            self.since, self.recorded = since, recorded
        elif since != self.since:
            self.commit()  # what waits counts once: when it is written

    def _write_head(self) -> None:
        self._segments.sync()
        head = Head(self.seq, self.hash, self._gateway, stamp(self._clock()))
        replace_durably(self.folder / HEAD, head.dump(self._signer))
        self._head_due = False

    # -- bounds ------------------------------------------------------------------------------------------------

    def size(self) -> int:
        """Bytes of all segments."""
        return self._segments.size()

    def retain(self, max_bytes: int, oldest: datetime) -> dict[str, int]:
        """Remove segments over the size, or last written before `oldest`; records removed, by reason.

        Raises:
            OSError: something cannot be written or removed.
        """
        removed: dict[str, int] = {}
        size, paths = self.size(), segments(self.folder)
        for path, following in pairwise(paths):
            stat = path.stat()
            reason = "age" if stat.st_mtime < oldest.timestamp() else "size" if size > max_bytes else ""
            if not reason:
                break
            first, prev = beginning(following)
            self.note(REMOVED, reason=reason, through=first - 1, through_hash=prev)
            self.commit()
            size -= size_of(path)
            remove(path)
            removed[reason] = removed.get(reason, 0) + first - int(path.stem)
        return removed

    def close(self) -> None:
        self._segments.close()
