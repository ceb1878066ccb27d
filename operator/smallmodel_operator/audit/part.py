"""What a piece of a chain can prove by itself: which of its records are signed, or joined to a signed one. Pure.

A record that stands alone has only the hash it gives itself, which anybody can compute. One that a later record
names as the one before it, and so on without a gap up to a signature, is as certain as that signature.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from smallmodel_operator.audit.record import COMMIT, Kind, Record
from smallmodel_operator.audit.report import Fault, FaultKind
from smallmodel_operator.audit.sign import KEY, signed


@dataclass(slots=True)
class Part:
    """Counts of one piece, to be given each record that is intact and in its place. `keys`: public keys that are known;
    none: any that fits counts."""

    keys: frozenset[str] = frozenset()
    records: int = 0
    proven: int = 0
    _joined: int = 0
    """Records that stand under no signature yet, each joined to the next."""
    _last: tuple[int, str] = field(default=(0, ""))

    def add(self, record: Record) -> None:
        """Take it in."""
        follows = self._last == (record.seq - 1, record.prev)
        self.records, self._last = self.records + 1, (record.seq, record.hash)
        self._joined = self._joined + 1 if follows else 1
        if self._signed(record):
            self.proven, self._joined = self.proven + self._joined, 0

    def _signed(self, record: Record) -> bool:
        signs = record.kind == Kind.CHECKPOINT or COMMIT in record.body
        return signs and signed(record.body) and (not self.keys or record.body[KEY] in self.keys)


def is_gap(fault: Fault) -> bool:
    """Is it numbers between two records that are not there, and of which the chain itself says nothing?"""
    return fault.kind is FaultKind.MISSING and not fault.detail


def gaps(faults: Iterable[Fault]) -> list[Fault]:
    """Those that are only that."""
    return list(filter(is_gap, faults))


def absent(found: Iterable[Fault]) -> int:
    """How many records are not there."""
    return sum(max(fault.to, fault.seq) - fault.seq + 1 for fault in found)
