"""What a verification says: each fault with its place, and what was found. Values only."""

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any


class FaultKind(StrEnum):
    """What is wrong. `meaning` is what people read."""

    meaning: str

    def __new__(cls, value: str, meaning: str) -> "FaultKind":
        made = str.__new__(cls, value)
        made._value_ = value
        made.meaning = meaning
        return made

    EDITED = "edited", "the record is not what it was: its hash does not fit"
    UNREADABLE = "unreadable", "the line is no record"
    MISSING = "missing", "records are not there"
    MISPLACED = "misplaced", "the record stands where it does not belong, or a second time"
    UNLINKED = "unlinked", "the record does not follow from the one before it"
    UNSIGNED = "unsigned", "the signature of the checkpoint does not fit"
    STRANGE_KEY = "strange-key", "it is signed with another key"
    HEAD = "head", "the signed head does not fit the records"


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault. `seq` and `to`: numbers of the records concerned; 0: not known. `line` counts from 1; 0: no line."""

    kind: FaultKind
    seq: int
    file: str
    line: int = 0
    to: int = 0
    detail: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        which = f"records {self.seq} to {self.to}" if self.to > self.seq else f"record {self.seq}"
        return f"{place}: {which}: {self.kind}: {self.detail or self.kind.meaning}"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One checkpoint: all up to `seq` is signed with `key`. `counts`: requests and records of each Envoy's life."""

    seq: int
    time: str
    key: str
    counts: tuple[dict[str, Any], ...] = ()


@dataclass(slots=True)
class Report:
    """About one chain. `signed_to`: the last record under a signature that fits; `tail`: bytes never committed;
    `gateway`: whose it says it is.

    `in_force`: records of what is in force; `unexplained`: answers that name a policy no record says.
    """

    gateway: str = ""
    first: int = 0
    last: int = 0
    hash: str = ""
    answers: int = 0
    notes: list[dict[str, Any]] = field(default_factory=list)
    checkpoints: list[Checkpoint] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    signed_to: int = 0
    tail: int = 0
    in_force: int = 0
    unexplained: int = 0
    faults: list[Fault] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def intact(self) -> bool:
        return not self.faults

    def dump(self) -> dict[str, Any]:
        """As JSON."""
        value = asdict(self)
        value["checkpoints"] = len(self.checkpoints)
        value["requests"] = self.counts()
        return {"intact": self.intact, **value}

    def counts(self) -> list[dict[str, Any]]:
        """The last word on each life of an Envoy, by when it began."""
        found = {str(count.get("since", "")): count for point in self.checkpoints for count in point.counts}
        return [found[since] for since in sorted(found)]
