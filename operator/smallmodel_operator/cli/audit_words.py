"""What a check of records says, in words."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from smallmodel_operator.audit.part import Part, absent, gaps, is_gap
from smallmodel_operator.audit.record import BOUNDARY, ENFORCEMENT
from smallmodel_operator.audit.report import Fault, FaultKind, Report
from smallmodel_operator.audit.verify import BEGAN

MOST_FAULTS: Final = 50
"""Printed for a chain; all of them are in the JSON."""


def plain(text: str) -> str:
    """What callers chose stands in records: none of it may steer the terminal of who reads them."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "replace").decode() for c in text)


def words(place: Path, report: Report, part: Part | None, *, pinned: bool) -> Iterator[str]:
    """What a check found. `part`: it was of a piece; `pinned`: the keys are known from elsewhere."""
    holes = gaps(report.faults) if part else []
    faults = [fault for fault in report.faults if not (holes and is_gap(fault))]
    state = f"{len(faults)} FAULT(S)" if faults else "intact"
    if holes:
        state = f"{state} in a part with gaps" if faults else "a part with gaps, each record fits its own hash"
    whose = f" of {report.gateway}" if report.gateway else ""
    what = f"records {report.first} to {report.last}, {report.answers} of them answers" if report.last else "no records"
    yield f"{place}{whose}: {state}: {what}"
    yield from _listed(faults)
    if part and any(fault.kind is FaultKind.MISPLACED for fault in faults):
        yield "  numbers that begin anew may be another gateway's: export each gateway's records to a file of its own"
    yield from _with_gaps(holes, part) if part and holes else ()
    for key in report.keys:
        yield f"  signed {'' if holes else f'up to record {report.signed_to} '}with key {key}" + (
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
    perhaps = " (it may stand in a record that is not here)" if holes else ""
    yield from (f"  warning: {text}{perhaps}" for text in report.warnings)


def _listed(faults: Sequence[Fault]) -> Iterator[str]:
    yield from (f"  {fault}" for fault in faults[:MOST_FAULTS])
    if len(faults) > MOST_FAULTS:
        yield f"  and {len(faults) - MOST_FAULTS} more: -o json lists all of them"


def _with_gaps(holes: Sequence[Fault], part: Part) -> Iterator[str]:
    """What a choice of records can prove, and what not."""
    yield (
        f"  {absent(holes)} records between them are not here (in {len(holes)} places): so it is where `slm audit "
        "export` was told to choose (--since, --until, --target), and so it is where somebody took them out"
    )
    yield (
        f"  proven: that {part.proven} of its {part.records} records were written by who has the key below: they are "
        "signed, or joined without a gap to a signed one"
        if part.proven
        else "  proven: of no record that a gateway wrote it: none is signed, or joined without a gap to a signed one"
    )
    alone = part.records - part.proven
    others = (
        f"; and that a gateway wrote the remaining {alone}: they fit the hash they give themselves, which anybody can"
    )
    yield f"  not proven: that none was left out{f'{others} compute' if alone else ''}"
    yield (
        "  the proof is in the whole chain: check it without --part, make the same export from it again, and compare "
        "the two files byte for byte (cmp)"
    )


def counted(report: Report, part: Part) -> dict[str, int]:
    """The same as JSON."""
    holes = gaps(report.faults)
    return {"records": part.records, "proven": part.proven, "gaps": len(holes), "absent": absent(holes)}


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
    # Gateways of an earlier release recorded the run, where it was before they were told of it.
    seen = f"seen until {until}" if str(until) >= str(since) else f"seen at {until}"
    if body.get("status") == "True":
        return f"policies enforced from {since} on, {seen}"
    why = "; ".join(map(str, body.get("through") or ())) or f"{body.get('reason')}: {body.get('message')}"
    if body.get("status") == "False":
        return f"policies NOT enforced from {since} on, {seen}: {why}"
    return f"whether policies are enforced is unknown from {since} on: {why}"


SAID: Final[Mapping[object, Callable[[Mapping[str, Any]], str]]] = {BOUNDARY: in_force, ENFORCEMENT: enforced}
"""Notes with a sentence of their own."""
