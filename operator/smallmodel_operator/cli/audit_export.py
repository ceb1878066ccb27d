"""`slm audit export`: records as lines for other programs."""

import sys
from collections.abc import Iterator
from enum import StrEnum

from smallmodel_operator.audit import otlp
from smallmodel_operator.audit.record import Kind, Record
from smallmodel_operator.cli.audit import Chain, NoRecords, Wanted, chains, failed


class Format(StrEnum):
    """What a line is."""

    JSONL = "jsonl"
    """A record as it stands in the chain."""
    OTLP = "otlp"
    """OpenTelemetry log records, as the Collector's `otlpjsonfile` receiver reads them."""


def export(names: list[str], wanted: Wanted, form: str = Format.JSONL) -> int:
    """Write every record, or the answers that are wanted, to standard output."""
    if form not in list(Format):
        return failed(f"--format is {form!r}: it is one of {', '.join(Format)}.")
    try:
        for chain in chains(names):
            lines = _otlp(chain, wanted) if form == Format.OTLP else (line for _, line in _records(chain, wanted))
            for line in lines:
                sys.stdout.buffer.write(line.rstrip(b"\n") + b"\n")
        sys.stdout.flush()
    except BrokenPipeError:
        sys.stderr.close()  # who reads has enough
    except (NoRecords, OSError) as error:
        return failed(str(error))
    return 0


def _records(chain: Chain, wanted: Wanted) -> Iterator[tuple[Record, bytes]]:
    for record, line in chain.records():
        if not wanted or (record.kind == Kind.ANSWER and wanted.fits(record.body)):
            yield record, line


def _otlp(chain: Chain, wanted: Wanted) -> Iterator[bytes]:
    head = chain.head()
    gateway = head.gateway if head is not None and not isinstance(head, str) else ""
    return otlp.lines((record for record, _ in _records(chain, wanted)), gateway)
