"""`slm audit export`: records as lines for other programs."""

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from smallmodel_operator.audit import otlp
from smallmodel_operator.audit.head import Head
from smallmodel_operator.audit.record import Kind, Record
from smallmodel_operator.cli.audit import FAULTY, Wanted, failed
from smallmodel_operator.cli.audit_files import Chain, NoRecords, chains, progress


class Format(StrEnum):
    """What a line is."""

    JSONL = "jsonl"
    """A record as it stands in the chain."""
    OTLP = "otlp"
    """OpenTelemetry log records, as the Collector's `otlpjsonfile` receiver reads them."""


@dataclass(slots=True)
class _Damage:
    """Lines that are no records, which are left out, and records that are not what was written, which are not."""

    unreadable: int = 0
    edited: int = 0


def export(names: list[str], since: str, until: str, target: str, form: str = Format.JSONL) -> int:
    """Write every record, or the answers that are wanted, to standard output; 1: some are damaged."""
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
        return 0
    except (NoRecords, OSError) as error:
        return failed(str(error))
    if damage.unreadable or damage.edited:
        return failed(
            f"{damage.unreadable} line(s) are no records and were left out, {damage.edited} record(s) are not what was "
            "written: `slm audit verify` names them.",
            FAULTY,
        )
    if wanted and not written:
        return failed("No answer fits what is asked for: nothing was written.", 0)
    return 0


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
    for record, line in chain.records(read_up):
        if record is None:
            damage.unreadable += line.endswith(b"\n")  # else the end of a write that was cut short
            continue
        damage.edited += not record.intact
        if not wanted or (record.kind == Kind.ANSWER and wanted.fits(record.body)):
            yield record, line
