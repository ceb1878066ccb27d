"""`slm audit verify`: checks records from their files alone; no cluster is asked."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from smallmodel_operator.audit.head import Head
from smallmodel_operator.audit.part import Part
from smallmodel_operator.audit.record import Record
from smallmodel_operator.audit.report import Report
from smallmodel_operator.audit.verify import Verifier
from smallmodel_operator.cli.audit_files import Chain, NoRecords, chains, lines_of, opened, progress, why
from smallmodel_operator.cli.audit_words import counted, plain, words
from smallmodel_operator.cli.console import stderr

FAULTY, UNUSABLE = 1, 2
_KEY: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)
_TIME: Final = re.compile(r"\d{4}(-\d\d(-\d\d(T\d\d(:\d\d(:\d\d(\.\d{1,6})?)?)?Z?)?)?)?", re.ASCII)
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
    seen: Callable[[Record], None] | None = None,
) -> Report:
    """Verify one chain. What cannot be read is a fault of it. `read` is told of each segment when it is done, `seen` is
    given each record that is intact and in its place.

    Raises:
        OSError: the folder is gone.
    """
    head = chain.head()  # before the rest: a chain in use grows meanwhile
    before = (noted or {}).get(head.gateway if isinstance(head, Head) else "", (0, ""))
    verifier = Verifier(keys, part=part, noted=before, seen=seen)
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
        parts = {chain.folder: Part(frozenset(keys)) for chain in found} if part else {}
        with progress(found) as read:
            for chain in found:
                seen = parts[chain.folder].add if part else None
                reports[chain.folder] = check(chain, keys, part=part, noted=before, read=read, seen=seen)
    except (NoRecords, OSError) as error:
        return failed(str(error))
    nothing = [report for report in reports.values() if part and report.intact and not report.last]
    gone = sorted(before.keys() - {report.gateway for report in reports.values()})
    values = [
        {"folder": str(folder), **report.dump(), **({"part": counted(report, parts[folder])} if part else {})}
        for folder, report in reports.items()
    ]
    named = {chain.folder: chain.place for chain in found}
    if output == "json":
        print(json.dumps(values, indent=2))
    elif output == "yaml":
        print(yaml.safe_dump(json.loads(json.dumps(values)), sort_keys=False), end="")
    else:
        for folder, report in reports.items():
            said = words(named[folder], report, parts.get(folder), pinned=bool(keys))
            print("\n".join(map(plain, said)))
    for gateway in gone:
        failed(f"no records of gateway {gateway!r}, which {noted} names, are here.")
    if any(not report.intact for report in reports.values()) or gone:
        return FAULTY
    return failed("A part without a record says nothing: give what `slm audit export` wrote.") if nothing else 0


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


def failed(message: str, code: int = UNUSABLE) -> int:
    stderr().print(plain(message), style="red", markup=False, soft_wrap=True)
    return code
