"""Checks a chain from its files alone: every record in its place, as it was written, up to a signed head. Pure.

    verifier = Verifier(key=known_public_key)
    for name, lines in segments:
        verifier.segment(name, lines)
    report = verifier.finish(head)

After a fault it goes on from what it finds, so that every further one is named too. What the files cannot show: that
whoever holds the gateways' master key did not write all of them anew; a head noted elsewhere shows that.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import PurePath
from typing import Any, Final

from smallmodel_operator.audit.head import Head
from smallmodel_operator.audit.record import ORIGIN, Kind, Record, canonical, read
from smallmodel_operator.audit.report import Checkpoint, Fault, FaultKind, Report
from smallmodel_operator.audit.sign import KEY, signed

POLICY: Final = "slm.policy"
ALL, GONE = "all", "removed"
"""Events of records of what is in force; any other one says it of a model."""
_AROUND: Final = frozenset({"kind", "event", "time", "generation", "seq", "prev", "commit"})
REMOVED: Final = "segments-removed"
"""Event of the note a gateway leaves before it removes old segments."""

BEGAN: Final = "agent-began"
"""Event of the note with what an agent found when it began."""


class Verifier:
    """For one chain. `key`: the public key that is known to be the gateway's; `part`: only a piece of it is there.
    `seen` is given each record that is intact and in its place."""

    def __init__(self, key: str = "", *, part: bool = False, seen: Callable[[Record], None] | None = None) -> None:
        self.report = Report()
        self._key = key
        self._part = part
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
        self._explained: set[str] = set()
        """Hashes of policies that a record said the content of."""
        self._in_force_now: dict[str, str] = {}
        """By model, the hash of all that its last record said of it."""
        self._unexplained: dict[str, tuple[int, int]] = {}
        """Of others: the first record that names it, and how many do."""

    def segment(self, name: str, lines: Iterable[bytes]) -> None:
        """Check a file's lines, each with its newline; files in the order of their names."""
        self._file, self._line = name, 0
        if not self._expected and not self._part and named(name):
            self._first(named(name))
        for number, line in enumerate(lines, start=1):
            self._line = number
            if self.report.tail:
                # What was cut off is the end of what was written; more after it means that something was taken out.
                self._fault(FaultKind.UNREADABLE, self._expected, "the line before it was cut off")
                self.report.tail = 0
            if not line.endswith(b"\n"):
                self.report.tail = len(line)
                return
            self._take(line)

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
        if record.seq == self._begin[0]:
            self._begin = (record.seq, record.prev, self._file)
        self._expected, self._links = record.seq + 1, frozenset({record.hash})
        self.report.last, self.report.hash = record.seq, record.hash
        if self._seen:
            self._seen(record)
        if record.kind == Kind.ANSWER:
            self.report.answers += 1
            named = record.body.get(POLICY)
            if isinstance(named, str) and named not in self._explained:
                first, number = self._unexplained.get(named, (record.seq, 0))
                self._unexplained[named] = (first, number + 1)
        elif record.kind == Kind.IN_FORCE:
            self._in_force(record)
        elif record.kind == Kind.NOTE:
            self._note(record)
        else:
            self._checkpoint(record)

    def _note(self, record: Record) -> None:
        body = {k: v for k, v in record.body.items() if k not in ("prev", "commit")}
        self.report.notes.append(body)
        through, lost_after, lost_to = (body.get(n) for n in ("through", "lost_after", "lost_up_to"))
        if body.get("event") == REMOVED and isinstance(through, int):
            self._removed.append((through, str(body.get("through_hash", ""))))
        if body.get("event") != BEGAN:
            return
        # Who tampers can have the agent start again: what it finds is no less a fault for being said.
        if isinstance(lost_after, int) and isinstance(lost_to, int):
            detail = f"they were gone when the agent began, at {body.get('time')}; their numbers were given again"
            self._add(Fault(FaultKind.MISSING, lost_after + 1, self._file, self._line, lost_to, detail))
        if "head" in body:
            detail = f"when the agent began, at {body.get('time')}: {body['head']}"
            self._fault(FaultKind.HEAD, record.seq, detail)

    def _in_force(self, record: Record) -> None:
        """What it says has to be what the hash it gives is a hash of."""
        self.report.in_force += 1
        body, target = record.body, str(record.body.get("slm.target"))
        if body.get("event") == ALL:
            if self._whole and body.get("slm.in_force") != hash_of(self._in_force_now):
                text = f"record {record.seq} counts other models in force than the records before it say"
                self.report.warnings.append(text)
        elif body.get("event") == GONE:
            self._in_force_now.pop(target, None)
        else:
            self._in_force_now[target] = hash_of({k: v for k, v in body.items() if k not in _AROUND})
            named, said = body.get(POLICY), body.get("policy")
            if isinstance(named, str) and isinstance(said, dict) and hash_of(said) == named:
                self._explained.add(named)
            else:
                self.report.warnings.append(f"record {record.seq} says another policy than the hash it gives for it")

    @property
    def _whole(self) -> bool:
        """The chain is here from its first record on."""
        return self._begin[0] <= 1 and not self._part

    def _unknown_policies(self) -> None:
        """Answers have to follow what they name; where the beginning is gone it may be recorded anew after them."""
        whole = self._whole
        for named, (first, number) in self._unexplained.items():
            if whole or named not in self._explained:
                self.report.unexplained += number
                self.report.warnings.append(
                    f"{number} answer(s), the first in record {first}, name the policy {named[:64]}, and no record "
                    f"{'before them ' if whole else ''}says what it is"
                )

    def _checkpoint(self, record: Record) -> None:
        body = record.body
        if not signed(body):
            self._fault(FaultKind.UNSIGNED, record.seq)
            return
        key = str(body[KEY])
        if key not in self.report.keys:
            self.report.keys.append(key)
            if self._key and key != self._key:
                self._fault(FaultKind.STRANGE_KEY, record.seq, f"it is signed with key {key}")
            elif not self._key and len(self.report.keys) > 1:
                self.report.warnings.append(f"from record {record.seq} on another key signs: {key}")
        counts = tuple(c for c in body.get("requests") or () if isinstance(c, dict))
        self.report.checkpoints.append(Checkpoint(record.seq, str(body.get("time", "")), key, counts))
        self.report.signed_to = record.seq

    # -- the ends ----------------------------------------------------------------------------------------------

    def finish(self, head: Head | str | None = None) -> Report:
        """Check both ends. `head`: the one beside the files; a text: why it cannot be used; None: there is none."""
        self._settle(None)
        self._unknown_policies()
        if not self._part:
            self._beginning()
            self._end(head)
        return self.report

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
        last = self.report.last
        if head is None:
            self.report.warnings.append(
                "there is no head beside the segments: records cut off after the last one would not be seen"
            )
            return
        if isinstance(head, str):
            self._add(Fault(FaultKind.HEAD, last, "head.json", detail=head))
            return
        if head.key not in ({self._key} if self._key else self.report.keys or {head.key}):
            self._add(Fault(FaultKind.STRANGE_KEY, head.seq, "head.json", detail=f"it is signed with key {head.key}"))
        if head.seq > last:
            detail = f"the head of the chain is record {head.seq}, and they are not there"
            self._add(Fault(FaultKind.MISSING, last + 1, self._file, to=head.seq, detail=detail))
        elif head.seq == last and self.report.hash and head.hash != self.report.hash and self._links:
            detail = f"record {head.seq} is not the one the head was signed for"
            self._add(Fault(FaultKind.HEAD, head.seq, "head.json", detail=detail))
        elif head.seq < last:
            self.report.warnings.append(f"{last - head.seq} record(s) after the signed head, record {head.seq}")
        if head.seq >= last:
            self.report.signed_to = max(self.report.signed_to, last)

    def _fault(self, kind: FaultKind, seq: int, detail: str = "") -> None:
        self._add(Fault(kind, seq, self._file, self._line, detail=detail))

    def _add(self, fault: Fault) -> None:
        self.report.faults.append(fault)


def hash_of(value: Mapping[str, Any]) -> str:
    """SHA-256 of its canonical JSON."""
    return hashlib.sha256(canonical(value)).hexdigest()


def named(name: str) -> int:
    """The number of a segment's first record, from its name; 0 when the name says none."""
    stem = PurePath(name).stem
    return int(stem) if stem.isascii() and stem.isdigit() else 0


def first_of(name: str) -> int:
    """The same; 1 when the name says none."""
    return max(1, named(name))
