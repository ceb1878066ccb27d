"""What gateways kept of requests, as it lies in a folder copied from a claim: beside the records that name it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from smallmodel_operator.audit.content.files import SUFFIX
from smallmodel_operator.audit.content.sealed import Sealed, digest
from smallmodel_operator.audit.content.state import ERASURE
from smallmodel_operator.audit.record import Kind, Record
from smallmodel_operator.audit.segment import named
from smallmodel_operator.cli.audit import check
from smallmodel_operator.cli.audit_files import Chain, NoRecords, chains, lines_of, opened, progress
from smallmodel_operator.cli.content_store import Unusable

MOST_NAMED: Final = 10
"""Faults of records that are named; `slm audit verify` names all."""


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a line is: contents of many requests may not fit into memory."""

    path: Path
    offset: int
    length: int

    def read(self) -> bytes:
        with opened(self.path) as file:
            file.seek(self.offset)
            return file.read(self.length)


@dataclass(slots=True)
class Claims:
    """Content and records of one gateway or several."""

    kept: list[Mapping[str, Any]] = field(default_factory=list)
    """What records say of content."""
    erased: dict[str, str] = field(default_factory=dict)
    """Keys that records call destroyed, and since when."""
    faults: list[str] = field(default_factory=list)
    number: int = 0
    """Of records."""
    _by_digest: dict[str, _Place] = field(default_factory=dict)
    _in_order: list[list[tuple[str, str]]] = field(default_factory=list)
    """Of each file its lines' digests and requests."""
    _by_request: dict[str, _Place] = field(default_factory=dict)

    @classmethod
    def load(cls, folder: Path) -> "Claims":
        """Check and read all of it.

        Raises:
            Unusable: it cannot be read, or has no records.
        """
        found = cls()
        try:
            known = chains([str(folder)])
            with progress(known) as read_up:
                for chain in known:
                    report = check(chain, read=read_up, seen=found._record)
                    found.number += report.last - report.first + 1 if report.last else 0
                    found._damage(chain, [str(fault) for fault in report.faults])
                    found._contents(chain)
        except (NoRecords, OSError) as error:
            raise Unusable(str(error)) from None
        return found

    def line(self, body: Mapping[str, Any]) -> bytes | None:
        """The line that a record names, else the one of its request."""
        sha, request = str(body.get("slm.content.sha256")), str(body.get("request.id"))
        place = self._by_digest.get(sha) or self._by_request.get(request)
        return place.read() if place else None

    def strays(self) -> list[str]:
        """Requests whose content lies there, and no record names it. At the end of a file that is written it may have
        been copied before its record was."""
        known = {body.get("slm.content.sha256") for body in self.kept}
        found: list[str] = []
        for lines in self._in_order:
            there = [number for number, (sha, _) in enumerate(lines) if sha in known]
            found += [request for sha, request in lines[: max(there, default=0)] if sha not in known]
        return found

    def _record(self, record: Record) -> None:
        body = record.body
        if "slm.content.sha256" in body:
            self.kept.append(body)
        elif record.kind == Kind.NOTE and body.get("event") == ERASURE:
            for key in str(body.get("keys", "")).split(","):
                self.erased.setdefault(key, str(body.get("destroyed", body.get("time"))))

    def _damage(self, chain: Chain, faults: list[str]) -> None:
        self.faults += faults[:MOST_NAMED]
        if faults:
            self.faults.append(f"{chain.place}: {len(faults)} fault(s) of records; `slm audit verify` names all.")

    def _contents(self, chain: Chain) -> None:
        for path in sorted(chain.folder.glob(f"*{SUFFIX}")):
            if not named(path.name):
                continue
            offset = 0
            self._in_order.append([])
            with opened(path) as file:
                for number, line in enumerate(lines_of(file), 1):
                    self._line(path, number, offset, line)
                    offset = file.tell()

    def _line(self, path: Path, number: int, offset: int, line: bytes) -> None:
        if not line.endswith(b"\n"):
            return  # the end of a write that is under way, or was cut short
        try:
            request = Sealed.read(line).request
        except ValueError:
            self.faults.append(f"{path}:{number} is no sealed content.")
            return
        place = _Place(path, offset, len(line))
        self._by_digest[sha := digest(line)] = place
        self._in_order[-1].append((sha, request))
        self._by_request.setdefault(request, place)
