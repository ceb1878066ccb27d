"""`slm audit`: checks, shows and exports records from their files alone; no cluster is asked."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml
from rich.console import Console

from smallmodel_operator.audit.head import Head
from smallmodel_operator.audit.record import BOUNDARY, ENFORCEMENT, Record, read
from smallmodel_operator.audit.report import Report
from smallmodel_operator.audit.verify import BEGAN, Verifier, first_of, named

HEAD: Final = "head.json"
SEGMENT: Final = ".jsonl"
FAULTY, UNUSABLE = 1, 2


class NoRecords(Exception):  # noqa: N818 - says what is the matter
    """What was named holds no records, or cannot be read."""


@dataclass(frozen=True, slots=True)
class Chain:
    """The segments of one gateway, in order."""

    folder: Path
    segments: tuple[Path, ...]

    def lines(self) -> Iterator[tuple[Path, bytes]]:
        for path in self.segments:
            with path.open("rb") as file:
                for line in file:
                    yield path, line

    def records(self) -> Iterator[tuple[Record, bytes]]:
        """Those that can be read; `verify` says what cannot."""
        for _, line in self.lines():
            try:
                yield read(line), line
            except ValueError:
                continue

    def head(self) -> Head | str | None:
        try:
            return Head.load((self.folder / HEAD).read_bytes())
        except FileNotFoundError:
            return None
        except ValueError as error:
            return str(error)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which answers: times are beginnings of `2026-11-21T14:41:39.000000Z`; empty: any."""

    since: str = ""
    until: str = ""
    target: str = ""

    def __bool__(self) -> bool:
        return bool(self.since or self.until or self.target)

    def fits(self, body: Any) -> bool:
        at, target = str(body.get("time", "")), str(body.get("slm.target", ""))
        in_time = at >= self.since and (not self.until or at < self.until)
        return in_time and (not self.target or target == self.target or target.startswith(f"{self.target}/"))


@dataclass(slots=True)
class _Found:
    folders: dict[Path, list[Path]] = field(default_factory=dict)

    def add(self, path: Path) -> None:
        self.folders.setdefault(path.parent, []).append(path)


def chains(names: list[str]) -> list[Chain]:
    """The chains in files and folders (searched to the bottom).

    Raises:
        NoRecords: there is none.
    """
    found = _Found()
    for name in names:
        path = Path(name)
        if path.is_dir():
            for item in path.rglob(f"*{SEGMENT}"):
                if named(item.name):
                    found.add(item)
        elif path.name == HEAD:
            continue
        elif path.exists():
            found.add(path)
        else:
            raise NoRecords(
                f"{name} does not exist: name a folder `audit` of a gateway's claim, or files copied from it."
            )
    if not found.folders:
        raise NoRecords(
            f"no records in {', '.join(names)}: they are files like 00000000000000000001{SEGMENT} in the folder "
            "`audit` of a gateway's claim."
        )
    return [
        Chain(folder, tuple(sorted(set(paths), key=lambda p: (first_of(p.name), p.name))))
        for folder, paths in sorted(found.folders.items())
    ]


def check(chain: Chain, key: str = "", *, part: bool = False) -> Report:
    """Verify one chain.

    Raises:
        OSError: a file cannot be read.
    """
    verifier, head = Verifier(key, part=part), chain.head()  # before the rest: a chain in use grows meanwhile
    for path in chain.segments:
        with path.open("rb") as file:
            verifier.segment(path.name, file)
    return verifier.finish(head)


def verify(names: list[str], key: str, part: bool, output: str) -> int:
    """Print what was found; 0 intact, 1 faults, 2 nothing to check."""
    try:
        reports = {chain.folder: check(chain, key, part=part) for chain in chains(names)}
    except (NoRecords, OSError) as error:
        return failed(str(error))
    values = [{"folder": str(folder), **report.dump()} for folder, report in reports.items()]
    if output == "json":
        print(json.dumps(values, indent=2))
    elif output == "yaml":
        print(yaml.safe_dump(json.loads(json.dumps(values)), sort_keys=False), end="")
    else:
        for folder, report in reports.items():
            print("\n".join(_words(folder, report, pinned=bool(key))))
    return 0 if all(report.intact for report in reports.values()) else FAULTY


def _words(folder: Path, report: Report, *, pinned: bool) -> Iterator[str]:
    state = "intact" if report.intact else f"{len(report.faults)} FAULT(S)"
    yield f"{folder}: {state}: records {report.first} to {report.last}, {report.answers} of them answers"
    yield from (f"  {fault}" for fault in report.faults)
    for key in report.keys:
        yield f"  signed up to record {report.signed_to} with key {key}" + (
            "" if pinned else " (whose key that is has to be known from elsewhere: give it with --key)"
        )
    if not report.keys:
        yield "  no record is under a signature that fits"
    for count in report.counts():
        yield (
            f"  Envoy since {count.get('since')}: {count.get('finished')} requests, {count.get('recorded')} recorded, "
            f"{count.get('missing')} missing, {count.get('surplus')} too many"
        )
    if report.tail:
        yield f"  {report.tail} bytes at the end were never committed: a write that was cut short, or goes on now"
    for note in report.notes:
        said = {k: v for k, v in note.items() if k not in ("kind", "event", "time", "seq")}
        if note.get("event") in SAID:
            yield f"  record {note.get('seq')} of {note.get('time')}: {SAID[note['event']](note)}"
        elif note.get("event") not in _USUAL or (note.get("event") == BEGAN and said.keys() - {"key"}):
            yield f"  note in record {note.get('seq')} of {note.get('time')}: {note.get('event')} {json.dumps(said)}"
    yield from (f"  warning: {text}" for text in report.warnings)


_USUAL: Final = frozenset({"chain-began", BEGAN, "log-opened", "configuration"})


def in_force(body: Mapping[str, Any]) -> str:
    """What a boundary stops that came into force, in one line."""
    places = [("the whole cluster", body.get("reason"))] if body.get("inference") == "Stopped" else []
    places += [(f"namespace {name}", why) for name, why in dict(body.get("namespaces") or {}).items()]
    said = ", ".join(f"{place} ({why})" if why else place for place, why in places)
    cut = int(body.get("cut") or 0) + int(body.get("cut_others") or 0)
    what = f"inference stopped in {said}; {cut} running requests cut" if places else "inference allowed"
    return f"ClusterBoundary generation {body.get('generation')} in force: {what}"


def enforced(body: Mapping[str, Any]) -> str:
    """What the canary found, in one line."""
    since, until = body.get("since"), body.get("until")
    if body.get("status") == "True":
        return f"policies enforced from {since} on, seen until {until}"
    why = "; ".join(map(str, body.get("through") or ())) or f"{body.get('reason')}: {body.get('message')}"
    if body.get("status") == "False":
        return f"policies NOT enforced from {since} on, seen until {until}: {why}"
    return f"whether policies are enforced is unknown from {since} on: {why}"


SAID: Final[Mapping[object, Callable[[Mapping[str, Any]], str]]] = {BOUNDARY: in_force, ENFORCEMENT: enforced}
"""Notes with a sentence of their own."""


def failed(message: str, code: int = UNUSABLE) -> int:
    Console(stderr=True).print(message, style="red", markup=False, soft_wrap=True)
    return code
