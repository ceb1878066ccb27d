"""What stands after the last commit of a chain, until the next one: a crash leaves it, and it is no part of it. Pure.

A process that is killed leaves the beginning of a commit. A node that loses its power may leave more of it, with zeros
where the disk did not get that far. Anything else is no accident: what is wrong there is a fault.
"""

from smallmodel_operator.audit.record import Record
from smallmodel_operator.audit.report import Fault

Placed = tuple[Record, str, int]
"""A record, its file and its line."""


class Tail:
    """Of one chain. `end`: number and hash of the last commit; `size`: bytes of the whole lines after it."""

    def __init__(self) -> None:
        self.end: tuple[int, str] = (0, "")
        self.size = 0
        self._records: list[Placed] = []
        self._faults: list[Fault] = []
        self._zeros = False
        """There are zeros in the line that is looked at."""
        self._torn = False
        """What is wrong began with zeros."""
        self._spans = False
        """It is in more than one file: a commit never is."""
        self._holed = False

    def another_file(self) -> None:
        """What comes now is in the next file."""
        self._spans = self._spans or bool(self._records or self._faults)

    def line(self, line: bytes) -> None:
        """A whole line."""
        self.size += len(line)
        self._zeros = b"\0" in line

    def add(self, record: Record, file: str, line: int) -> None:
        """A record in its place."""
        self._records.append((record, file, line))

    def fault(self, fault: Fault) -> None:
        """Something is wrong."""
        if not self._faults:
            self._torn = self._zeros
        self._faults.append(fault)

    def hole(self) -> bool:
        """Does the commit that ends here lack a piece that the disk did not get? Such a one can only be the last."""
        found = bool(self._faults) and self._torn and not self._spans and not self._holed
        self._holed = found
        return found

    def take(self, seq: int, hash_: str) -> tuple[list[Placed], list[Fault]]:
        """All up to this record is committed: records and faults since the last commit."""
        found = self._records, self._faults
        self._records, self._faults, self.size = [], [], 0
        self._torn = self._spans = self._holed = False
        self.end = (seq, hash_)
        return found

    def uncommitted(self, known: int) -> bool:
        """At the end of the chain: is it what a crash leaves? It is forgotten then. `known`: number of a record that
        was committed for certain."""
        if known > self.end[0] or self._spans or (self._faults and not self._torn):
            return False
        self._records, self._faults = [], []
        return True
