"""`slm audit verify`: checks records from their files alone; no cluster is asked."""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml
from rich.console import Console

from smallmodel_operator.audit.head import Head
from smallmodel_operator.audit.record import BOUNDARY, ENFORCEMENT
from smallmodel_operator.audit.report import Report
from smallmodel_operator.audit.verify import BEGAN, Verifier
from smallmodel_operator.cli.audit_files import Chain, NoRecords, chains, lines_of, opened, progress, why

FAULTY, UNUSABLE = 1, 2
_KEY: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)
_TIME: Final = re.compile(r"\d{4}(-\d\d(-\d\d(T\d\d(:\d\d(:\d\d(\.\d{1,6})?)?)?Z?)?)?)?", re.ASCII)
MOST_FAULTS: Final = 50
"""Printed for a chain; all of them are in the JSON."""
Noted = Mapping[str, tuple[int, str]]
"""Number and hash of a record by gateway, from an earlier check."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which answers: times are beginnings of `2026-11-21T14:41:39.000000Z`; empty: any."""

    since: str = ""
    until: str = ""
    target: str = ""

    def __post_init__(self) -> None:
        """Raises NoRecords: a time is none. They are compared as text: another form would fit all, or nothing."""
        for option, time in (("--since", self.since), ("--until", self.until)):
            if time and not _TIME.fullmatch(time):
                raise NoRecords(f"{option} {time!r} is no time: give one like 2026-11, 2026-11-21 or 2026-11-21T14:30.")

    def __bool__(self) -> bool:
        return bool(self.since or self.until or self.target)

    def fits(self, body: Any) -> bool:
        at, target = str(body.get("time", "")), str(body.get("slm.target", ""))
        in_time = at >= self.since and (not self.until or at < self.until)
        return in_time and (not self.target or target == self.target or target.startswith(f"{self.target}/"))


def check(
    chain: Chain,
    keys: Sequence[str] = (),
    *,
    part: bool = False,
    noted: Noted | None = None,
    read: Callable[[Path], None] = lambda _: None,
) -> Report:
    """Verify one chain. What cannot be read is a fault of it. `read` is told of each segment when it is done.

    Raises:
        OSError: the folder is gone.
    """
    head = chain.head()  # before the rest: a chain in use grows meanwhile
    before = (noted or {}).get(head.gateway if isinstance(head, Head) else "", (0, ""))
    verifier = Verifier(keys, part=part, noted=before)
    through(verifier, chain, read)
    return verifier.finish(head)


def through(verifier: Verifier, chain: Chain, read: Callable[[Path], None] = lambda _: None) -> None:
    """All segments, after the head was read."""
    for path in chain.again():
        try:
            with opened(path) as file:
                verifier.segment(path.name, lines_of(file))
        except FileNotFoundError as error:
            if path.is_symlink():  # else it was removed meanwhile, as the chain says then
                verifier.unreadable(path.name, f"it cannot be read: {why(error)}")
        except OSError as error:
            verifier.unreadable(path.name, f"it cannot be read: {why(error)}")
        read(path)


def verify(names: list[str], keys: list[str], part: bool, output: str, noted: str = "") -> int:
    """Print what was found; 0 intact, 1 faults, 2 nothing to check."""
    try:
        public_keys(keys)
        before, found, reports = _noted(noted), chains(names), {}
        with progress(found) as read:
            for chain in found:
                reports[chain.folder] = check(chain, keys, part=part, noted=before, read=read)
    except (NoRecords, OSError) as error:
        return failed(str(error))
    gone = sorted(before.keys() - {report.gateway for report in reports.values()})
    values = [{"folder": str(folder), **report.dump()} for folder, report in reports.items()]
    if output == "json":
        print(json.dumps(values, indent=2))
    elif output == "yaml":
        print(yaml.safe_dump(json.loads(json.dumps(values)), sort_keys=False), end="")
    else:
        for folder, report in reports.items():
            print("\n".join(map(plain, _words(folder, report, pinned=bool(keys)))))
    for gateway in gone:
        failed(f"no records of gateway {gateway!r}, which {noted} names, are here.")
    return 0 if all(report.intact for report in reports.values()) and not gone else FAULTY


def public_keys(given: Sequence[str]) -> None:
    """Are they? Else every record would seem to be signed by a stranger.

    Raises:
        NoRecords: one is none.
    """
    for key in given:
        if not _KEY.fullmatch(key):
            raise NoRecords(
                f"--key {key!r} is no public key: 64 hexadecimal digits, as `slm audit verify` and gateways' logs say."
            )


def _noted(name: str) -> Noted:
    """What an earlier check printed with `-o json`."""
    if not name:
        return {}
    try:
        with opened(Path(name)) as file:
            value = json.load(file)
        if not isinstance(value, list):
            raise TypeError
        return {str(chain["gateway"]): (int(chain["last"]), str(chain["hash"])) for chain in value if chain["last"]}
    except OSError as error:
        raise NoRecords(f"{name} cannot be read: {why(error)}.") from None
    except (KeyError, TypeError, ValueError, RecursionError):
        raise NoRecords(f"{name} is not what `slm audit verify -o json` prints.") from None


def plain(text: str) -> str:
    """What callers chose stands in records: none of it may steer the terminal of who reads them."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "replace").decode() for c in text)


def _words(folder: Path, report: Report, *, pinned: bool) -> Iterator[str]:
    state = "intact" if report.intact else f"{len(report.faults)} FAULT(S)"
    whose = f" of {report.gateway}" if report.gateway else ""
    what = f"records {report.first} to {report.last}, {report.answers} of them answers" if report.last else "no records"
    yield f"{folder}{whose}: {state}: {what}"
    yield from (f"  {fault}" for fault in report.faults[:MOST_FAULTS])
    if len(report.faults) > MOST_FAULTS:
        yield f"  and {len(report.faults) - MOST_FAULTS} more: -o json lists all of them"
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
        said = {k: v for k, v in note.items() if k not in ("kind", "event", "time", "seq", "key")}
        event = str(note.get("event"))
        if event in SAID:
            yield f"  record {note.get('seq')} of {note.get('time')}: {SAID[event](note)}"
        elif event not in _USUAL or (event == BEGAN and said):
            yield f"  note in record {note.get('seq')} of {note.get('time')}: {event} {json.dumps(said)}"
    yield from (f"  warning: {text}" for text in report.warnings)


_USUAL: Final = frozenset({"chain-began", BEGAN, "log-opened", "configuration"})


def in_force(body: Mapping[str, Any]) -> str:
    """What a boundary stops that came into force, in one line."""
    places = [("the whole cluster", body.get("reason"))] if body.get("inference") == "Stopped" else []
    listed = body.get("namespaces")
    places += [(f"namespace {name}", why) for name, why in (listed if isinstance(listed, dict) else {}).items()]
    said = ", ".join(f"{place} ({why})" if why else place for place, why in places)
    cut = sum(number for number in (body.get("cut"), body.get("cut_others")) if isinstance(number, int))
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
    Console(stderr=True).print(plain(message), style="red", markup=False, soft_wrap=True)
    return code
