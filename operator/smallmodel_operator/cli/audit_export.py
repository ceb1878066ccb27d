"""`slm audit export`: records as lines for other programs.

A record that is not what was written is evidence, too: it is exported as it stands, never silently. Its place is
named on standard error, its OpenTelemetry log record says so, and the exit code is 1, so that no pipeline takes the
export for a good one.
"""

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final

from smallmodel_operator.audit import otlp
from smallmodel_operator.audit.head import Head
from smallmodel_operator.audit.record import Kind, Record
from smallmodel_operator.cli.audit import FAULTY, Wanted, failed
from smallmodel_operator.cli.audit_files import Chain, NoRecords, chains, progress

MOST_NAMED: Final = 10
"""Places of damage that are named; `slm audit verify` names all."""


class Format(StrEnum):
    """What a line is."""

    JSONL = "jsonl"
    """A record as it stands in the chain."""
    OTLP = "otlp"
    """OpenTelemetry log records, as the Collector's `otlpjsonfile` receiver reads them."""


@dataclass(slots=True)
class _Places:
    """How many, and where the first ones are."""

    number: int = 0
    named: list[str] = field(default_factory=list)

    def add(self, place: str) -> None:
        self.number += 1
        if len(self.named) < MOST_NAMED:
            self.named.append(place)


@dataclass(slots=True)
class _Damage:
    """In all that was read, whether it was asked for or not: what was changed may be what it would be chosen by."""

    unreadable: _Places = field(default_factory=_Places)
    """Lines that are no records."""
    edited: _Places = field(default_factory=_Places)
    """Records that are not what was written."""

    def __bool__(self) -> bool:
        return bool(self.unreadable.number or self.edited.number)

    def words(self) -> Iterator[str]:
        """What is the matter, the outcome last; nothing where nothing is."""
        for places, what in (
            (self.unreadable, "is no record: left out"),
            (self.edited, "is not what was written: exported as it stands, where it was asked for"),
        ):
            yield from (f"{place} {what}." for place in places.named)
        if self:
            yield (
                f"This export is of damaged records: {self.edited.number} not what was written, "
                f"{self.unreadable.number} line(s) no records. `slm audit verify` names all, and what is missing."
            )


def export(names: list[str], since: str, until: str, target: str, form: str = Format.JSONL) -> int:
    """Write every record, or the answers that are wanted, to standard output; 1: some are damaged, 2: nothing can be
    read."""
    if form not in list(Format):
        return failed(f"--format is {form!r}: it is one of {', '.join(Format)}.")
    damage, written = _Damage(), 0
    try:
        wanted, known = Wanted(since, until, target), chains(names)
        with progress(known) as read_up:
            for chain in known:
                for line in _lines(chain, wanted, form, damage, read_up):
                    sys.stdout.buffer.write(line.rstrip(b"\n") + b"\n")
                    written += 1
        sys.stdout.flush()
    except BrokenPipeError:  # who reads has enough, and Python must not flush what is left
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (NoRecords, OSError) as error:
        return failed(str(error))
    else:
        if wanted and not written and not damage:
            return failed("No answer fits what is asked for: nothing was written.", 0)
    return max((failed(sentence, FAULTY) for sentence in damage.words()), default=0)


def _lines(
    chain: Chain, wanted: Wanted, form: str, damage: _Damage, read_up: Callable[[Path], None]
) -> Iterator[bytes]:
    records = _records(chain, wanted, damage, read_up)
    if form != Format.OTLP:
        return (line for _, line in records)
    head = chain.head()
    return otlp.lines((record for record, _ in records), head.gateway if isinstance(head, Head) else "")


def _records(
    chain: Chain, wanted: Wanted, damage: _Damage, read_up: Callable[[Path], None]
) -> Iterator[tuple[Record, bytes]]:
    for record, line, place in chain.placed(read_up):
        if record is None:
            if line.endswith(b"\n"):  # else the end of a write that was cut short
                damage.unreadable.add(place)
            continue
        if not record.intact:
            damage.edited.add(f"{place} (record {record.seq})")
        if not wanted or (record.kind == Kind.ANSWER and wanted.fits(record.body)):
            yield record, line
