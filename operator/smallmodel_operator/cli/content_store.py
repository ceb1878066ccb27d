"""A folder of stored content and its chain of records, and the file with the subjects' keys.

`records.jsonl` is a chain (`audit.record`), unsigned; `content.jsonl` has what was sealed. Keys are written before what
needs them, and destroyed before a record says so: whatever is cut short is named by the next check and can be repeated.
"""

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from smallmodel_operator.audit.content.keyring import Keyring, NotAKeyring
from smallmodel_operator.audit.content.sealed import Sealed
from smallmodel_operator.audit.content.state import ERASURE
from smallmodel_operator.audit.record import ORIGIN, Kind, Record, read, seal

RECORDS: Final = "records.jsonl"
CONTENT: Final = "content.jsonl"


class Unusable(Exception):  # noqa: N818 - says what is the matter
    """Nothing can be done with these files."""


@dataclass(slots=True)
class Store:
    """What lies in a folder. `faults` of its chain; nothing is added to a chain that has any."""

    folder: Path
    records: list[Record] = field(default_factory=list)
    lines: dict[str, bytes] = field(default_factory=dict)
    """Of sealed content, by its request."""
    faults: list[str] = field(default_factory=list)

    @classmethod
    def load(cls, folder: Path) -> "Store":
        """Read all of it; a folder that is not there is an empty one.

        Raises:
            Unusable: it cannot be read.
        """
        store = cls(folder)
        for number, line in enumerate(_lines(folder / RECORDS), 1):
            store._record(number, line)
        for number, line in enumerate(_lines(folder / CONTENT), 1):
            try:
                request = Sealed.read(line).request
            except ValueError:
                store.faults.append(f"{CONTENT}:{number} is no sealed content.")
                continue
            if request in store.lines:
                store.faults.append(f"{CONTENT}:{number} is of a request that has a line already.")
            store.lines.setdefault(request, line)
        return store

    def _record(self, number: int, line: bytes) -> None:
        last = self.records[-1] if self.records else None
        try:
            record = read(line)
        except ValueError as error:
            self.faults.append(f"{RECORDS}:{number} is no record: {error}.")
            return
        if not record.intact:
            self.faults.append(f"{RECORDS}:{number} was changed: its hash is another.")
        elif record.seq != (last.seq + 1 if last else 1) or record.prev != (last.hash if last else ORIGIN):
            self.faults.append(f"{RECORDS}:{number} does not follow the record before it.")
        self.records.append(record)

    @property
    def number(self) -> int:
        """Of records."""
        return len(self.records)

    @property
    def kept(self) -> list[Mapping[str, Any]]:
        """What records say of stored content."""
        return [record.body for record in self.records if "slm.content.sha256" in record.body]

    @property
    def erased(self) -> dict[str, str]:
        """Keys that records call destroyed, and since when."""
        found: dict[str, str] = {}
        for record in self.records:
            if record.kind == Kind.NOTE and record.body.get("event") == ERASURE:
                for key in str(record.body.get("keys", "")).split(","):
                    found.setdefault(key, str(record.body.get("time")))
        return found

    def line(self, body: Mapping[str, Any]) -> bytes | None:
        """The line that a record names."""
        return self.lines.get(str(body.get("request.id")))

    def strays(self) -> list[str]:
        """Requests whose content lies there, and no record tells of it."""
        known = {body.get("request.id") for body in self.kept}
        return [request for request in self.lines if request not in known]

    def keep(self, sealed: Sealed, time: str) -> None:
        """Write content, then its record."""
        _append(self.folder / CONTENT, sealed.line())
        self.lines[sealed.request] = sealed.line()
        self.note({**sealed.reference(), "kind": Kind.DECISION.value, "time": time})

    def note(self, body: Mapping[str, Any]) -> None:
        """Append a record to a chain without faults."""
        last = self.records[-1] if self.records else None
        line, _ = seal(body, last.seq + 1 if last else 1, last.hash if last else ORIGIN)
        _append(self.folder / RECORDS, line)
        self.records.append(read(line))


def ring_of(path: Path) -> Keyring | None:
    """The keys in a file; None: there is no such file.

    Raises:
        Unusable: it cannot be read, or is none.
    """
    try:
        return Keyring.load(path.read_bytes())
    except FileNotFoundError:
        return None
    except NotAKeyring as error:
        raise Unusable(f"{path} is not what --keys wants: {error}.") from None
    except OSError as error:
        raise Unusable(f"{path} cannot be read: {error.strerror or error}.") from None


def write_ring(path: Path, ring: Keyring) -> None:
    """Replace the file at once, on the disk, for its owner alone. What stood in it is overwritten by nobody: a disk or
    a backup may still have it."""
    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
        file.write(ring.dump())
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
    _synced(path.parent)


@contextmanager
def locked(keys: Path) -> Iterator[None]:
    """One program at a time changes a file of keys and what is sealed under them.

    Raises:
        Unusable: another one does, or there is no folder for it.
    """
    if not keys.parent.is_dir():
        raise Unusable(f"--keys {keys}: there is no folder {keys.parent}: make it, for its owner alone.")
    with (keys.parent / f".{keys.name}.lock").open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Unusable(f"Another program is changing {keys}: try again when it is done.") from None
        yield


def _append(path: Path, line: bytes) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600), "ab") as file:
        file.write(line)
        file.flush()
        os.fsync(file.fileno())
    _synced(path.parent)


def _synced(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _lines(path: Path) -> list[bytes]:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise Unusable(f"{path} cannot be read: {error.strerror or error}.") from None
    if data and not data.endswith(b"\n"):
        raise Unusable(f"{path}: its last line is broken off, as a write that was cut short leaves it: cut it off.")
    return data.splitlines()
