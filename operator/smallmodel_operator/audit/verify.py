"""Checks a chain from its files alone: every record in its place, as it was written, up to a signed head. Pure.

    verifier = Verifier(keys=known_public_keys)
    for name, lines in segments:
        verifier.segment(name, lines)
    report = verifier.finish(head)

After a fault it goes on from what it finds, so that every further one is named too. The last record of each commit is
signed: what stands after the last of them was never committed, and is no part of the chain. What the files cannot show:
that older ones were put in the place of all of them, or that whoever holds the gateways' master key wrote all of them
anew; a head noted elsewhere shows that.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from smallmodel_operator.audit.head import Head
from smallmodel_operator.audit.policies import Policies
from smallmodel_operator.audit.record import COMMIT, ORIGIN, Kind, Record, read
from smallmodel_operator.audit.report import Checkpoint, Fault, FaultKind, Report
from smallmodel_operator.audit.segment import first_of, named
from smallmodel_operator.audit.sign import KEY, signed
from smallmodel_operator.audit.signers import Signers
from smallmodel_operator.audit.tail import Tail

HEAD: Final = "head.json"
NO_HEAD: Final = (
    "there is none beside the segments: what was cut off at the end would not be seen. Copy it, too, or check a piece "
    "of a chain with --part"
)
REMOVED: Final = "segments-removed"
"""Event of the note a gateway leaves before it removes old segments."""
BEGAN: Final = "agent-began"
"""Event of the note with what an agent found when it began."""
KEY_CHANGED: Final = "key-changed"
"""Event of the note by which a key hands over to another one."""


class Verifier:
    """For one chain. `keys`: public keys that are known to be the gateway's; `part`: only a piece of it is there;
    `noted`: number and hash of a record, from an earlier check. `seen` is given each committed record that is intact
    and in its place."""

    def __init__(
        self,
        keys: Sequence[str] = (),
        *,
        part: bool = False,
        noted: tuple[int, str] = (0, ""),
        seen: Callable[[Record], None] | None = None,
    ) -> None:
        self.report = Report()
        self._signers = Signers(keys)
        self._part = part
        self._noted = noted
        self._seen = seen
        self._expected = 0
        """Number of the record that comes next; 0 before the first."""
        self._links: frozenset[str] = frozenset()
        """Hashes the next record may name as the one before it; empty: not known."""
        self._begin: tuple[int, str, str] = (0, "", "")
        self._removed: list[tuple[int, str]] = []
        self._ahead: tuple[Record, str, int] | None = None
        """A record with a higher number than expected, and its place, until the next one is seen."""
        self._file, self._line = "", 0
        self._cut = ("", 0)
        """Where a line was that has no end."""
        self._policies = Policies()
        self._tail = Tail()

    def segment(self, name: str, lines: Iterable[bytes]) -> None:
        """Check a file's lines, each with its newline; files in the order of their names."""
        self._file, self._line = name, 0
        if not self._expected and not self._part and named(name):
            self._first(named(name))
        for number, line in enumerate(lines, start=1):
            if self.report.tail:
                # What was cut off is the end of what was written; more after it means that something was taken out.
                detail = "the line was cut off, and more follows"
                self._add(Fault(FaultKind.UNREADABLE, self._expected, *self._cut, detail=detail))
                self.report.tail = 0
            self._line = number
            if number == 1:
                self._tail.another_file()
            if not line.endswith(b"\n"):
                self.report.tail, self._cut = len(line), (name, number)
                return
            self._tail.line(line)
            self._take(line)

    def unreadable(self, name: str, why: str) -> None:
        """A segment is there and cannot be read."""
        self._settle(None)
        self._file, self._line = name, 0
        self._tail.another_file()
        self._fault(FaultKind.UNREADABLE, named(name) or self._expected, why)

    def _take(self, line: bytes) -> None:
        try:
            record = read(line)
        except ValueError as error:
            self._unknown(FaultKind.UNREADABLE, frozenset(), f"the line is no record: {error}")
            return
        if not record.intact:
            self._unknown(FaultKind.EDITED, frozenset({record.hash, record.computed} - {""}))
            return
        if not self._expected:
            self._first(record.seq, record.prev)
        if self._ahead:
            self._settle(record)
        if record.seq < self._expected:
            self._fault(FaultKind.MISPLACED, record.seq, f"record {self._expected} was expected here")
        elif record.seq > self._expected:
            self._ahead = (record, self._file, self._line)
        else:
            if self._line == 1 and named(self._file) not in (0, record.seq):
                detail = f"the file is named after record {named(self._file)}, and begins with record {record.seq}"
                self._fault(FaultKind.MISPLACED, record.seq, detail)
            self._accept(record)

    def _settle(self, following: Record | None) -> None:
        """A record came too early. Were those before it taken away, or was it put there? The one after it says."""
        if self._ahead is None:
            return
        (record, file, line), self._ahead = self._ahead, None
        place = self._expected
        if following is not None and following.seq in (place, place + 1):
            if following.seq > place:
                self._add(Fault(FaultKind.MISSING, place, file, line, to=place))
                self._expected, self._links = following.seq, frozenset()
            detail = f"record {place} was expected here"
            self._add(Fault(FaultKind.MISPLACED, record.seq, file, line, detail=detail))
            return
        self._add(Fault(FaultKind.MISSING, place, file, line, to=record.seq - 1))
        self._links = frozenset()
        self._accept(record)

    def _first(self, seq: int, prev: str = "") -> None:
        self._begin = (seq, prev, self._file)
        self._expected = self.report.first = seq

    def _unknown(self, kind: FaultKind, links: frozenset[str], detail: str = "") -> None:
        """Its place counts, not the number it gives: that may be what was edited."""
        self._settle(None)
        if not self._expected:
            self._first(first_of(self._file))
        self._fault(kind, self._expected, detail)
        self.report.last = self._expected
        self._expected, self._links = self._expected + 1, links

    def _accept(self, record: Record) -> None:
        if self._links and record.prev not in self._links:
            self._fault(FaultKind.UNLINKED, record.seq)
        if record.seq == self._noted[0] and record.hash != self._noted[1]:
            detail = "it is not the one that was noted: other files were put in the place of the gateway's"
            self._fault(FaultKind.HEAD, record.seq, detail)
        if record.seq == self._begin[0]:
            self._begin = (record.seq, record.prev, self._file)
        self._expected, self._links = record.seq + 1, frozenset({record.hash})
        self.report.last, self.report.hash = record.seq, record.hash
        self._tail.add(record, self._file, self._line)
        if record.body.get("event") == KEY_CHANGED and record.kind == Kind.NOTE:
            self._signers.promise(str(record.body.get("now")))
        if record.kind == Kind.CHECKPOINT or COMMIT in record.body:
            self._signature(record)
        if self._part or (COMMIT in record.body and not self._tail.hole()):
            self._committed()

    def _committed(self) -> None:
        """All up to here belongs to the chain."""
        records, faults = self._tail.take(self.report.last, self.report.hash)
        self.report.faults += faults
        for record, file, line in records:
            self._count(record, (file, line))

    def _count(self, record: Record, place: tuple[str, int]) -> None:
        if self._seen:
            self._seen(record)
        if record.kind in (Kind.ANSWER, Kind.DECISION):
            self.report.answers += record.kind == Kind.ANSWER
            self._policies.named(record)
        elif record.kind == Kind.IN_FORCE:
            self.report.in_force += 1
            if warning := self._policies.said(record, whole=self._whole):
                self.report.warnings.append(warning)
        elif record.kind == Kind.NOTE:
            self._note(record, place)
        elif record.kind == Kind.CHECKPOINT:
            self._checkpoint(record)

    def _note(self, record: Record, place: tuple[str, int]) -> None:
        body = {k: v for k, v in record.body.items() if k not in ("prev", COMMIT, "signature")}
        self.report.notes.append(body)
        through, lost_after, lost_to = (body.get(n) for n in ("through", "lost_after", "lost_up_to"))
        if body.get("event") == REMOVED and isinstance(through, int):
            self._removed.append((through, str(body.get("through_hash", ""))))
        if body.get("event") != BEGAN:
            return
        # Who tampers can have the agent start again: what it finds is no less a fault for being said.
        found = self.report.faults
        when = f"when the agent began, at {body.get('time')}"
        if isinstance(lost_after, int) and isinstance(lost_to, int):
            detail = f"they were gone {when}; their numbers were given again"
            found.append(Fault(FaultKind.MISSING, lost_after + 1, *place, lost_to, detail))
        for name in ("head", "set_aside"):
            if name in body:
                kind = FaultKind.HEAD if name == "head" else FaultKind.UNREADABLE
                found.append(Fault(kind, record.seq, *place, detail=f"{when}: {name.replace('_', ' ')}: {body[name]}"))

    @property
    def _whole(self) -> bool:
        """The chain is here from its first record on."""
        return self._begin[0] <= 1 and not self._part

    def _checkpoint(self, record: Record) -> None:
        body = record.body
        self.report.gateway = str(body.get("gateway", "")) or self.report.gateway
        said = body.get("requests")
        counts = tuple(c for c in said if isinstance(c, dict)) if isinstance(said, list) else ()
        point = Checkpoint(record.seq, str(body.get("time", "")), str(body.get(KEY, "")), counts)
        self.report.checkpoints.append(point)

    def _signature(self, record: Record) -> None:
        body = record.body
        if not signed(body):
            self._fault(FaultKind.UNSIGNED, record.seq)
            return
        key, before = str(body[KEY]), len(self._signers.found)
        if wrong := self._signers.sign(key):
            self._fault(FaultKind.STRANGE_KEY, record.seq, wrong)
        elif 0 < before < len(self._signers.found):
            self.report.warnings.append(f"from record {record.seq} on another key signs: {key}")
        self.report.signed_to = record.seq

    # -- the ends ----------------------------------------------------------------------------------------------

    def finish(self, head: Head | str | None = None) -> Report:
        """Check both ends. `head`: the one beside the files; a text: why it cannot be used; None: there is none."""
        self._settle(None)
        known = max(head.seq if isinstance(head, Head) else 0, self._noted[0])
        if not self._part and self._tail.uncommitted(known):
            self.report.last, self.report.hash = self._tail.end
            self.report.tail += self._tail.size
        else:
            self._unsigned(known)
            self._committed()
        self.report.signed_to = min(self.report.signed_to, self.report.last)
        for number, warning in self._policies.wanting(whole=self._whole):
            self.report.unexplained += number
            self.report.warnings.append(warning)
        self.report.keys = self._signers.found
        if not self._part:
            self._beginning()
            self._end(head)
        self.report.faults += self._tail.take(0, "")[1]
        return self.report

    def _unsigned(self, known: int) -> None:
        """After the last commit there is more than a crash leaves."""
        first, last = max(self._tail.end[0], known) + 1, self.report.last
        if not self._part and first <= last:
            self._add(Fault(FaultKind.UNSIGNED, first, self._file, to=last, detail="no signature stands under them"))

    def _beginning(self) -> None:
        seq, prev, file = self._begin
        if seq <= 1 and prev in ("", ORIGIN):
            return
        if seq <= 1:
            self._add(Fault(FaultKind.UNLINKED, seq, file, 1, detail="a chain begins with nothing before it"))
        elif (seq - 1, prev) not in self._removed and (prev or seq - 1 not in {s for s, _ in self._removed}):
            detail = "they were not removed by the gateway: no record of the chain says so"
            self._add(Fault(FaultKind.MISSING, 1, file, to=seq - 1, detail=detail))

    def _end(self, head: Head | str | None) -> None:
        last, noted = self.report.last, self._noted[0]
        if noted > last:
            detail = f"record {noted} was noted, and is not there"
            self._add(Fault(FaultKind.MISSING, last + 1, self._file, to=noted, detail=detail))
        if not isinstance(head, Head):
            self._add(Fault(FaultKind.HEAD, last, HEAD, detail=head or NO_HEAD))
            return
        self.report.gateway = head.gateway or self.report.gateway
        if not self._signers.trusted(head.key):
            self._add(Fault(FaultKind.STRANGE_KEY, head.seq, HEAD, detail=f"it is signed with key {head.key}"))
        if head.seq > last:
            detail = f"the head of the chain is record {head.seq}, and they are not there"
            self._add(Fault(FaultKind.MISSING, last + 1, self._file or HEAD, to=head.seq, detail=detail))
        elif head.seq == last and self.report.hash and head.hash != self.report.hash and self._links:
            detail = f"record {head.seq} is not the one the head was signed for"
            self._add(Fault(FaultKind.HEAD, head.seq, HEAD, detail=detail))
        elif head.seq < last:
            self.report.warnings.append(f"{last - head.seq} record(s) after the signed head, record {head.seq}")
        if head.seq >= last:
            self.report.signed_to = max(self.report.signed_to, last)

    def _fault(self, kind: FaultKind, seq: int, detail: str = "") -> None:
        self._add(Fault(kind, seq, self._file, self._line, detail=detail))

    def _add(self, fault: Fault) -> None:
        self._tail.fault(fault)
