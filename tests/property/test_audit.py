"""Whatever is done to the files of a chain is found, at its place; nothing is found where nothing was done.

Edits, drops, reorders and truncations of 1 % of the records (at least one), at random places.
"""

import random
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from tests.fakes.chain import SIGNER, Fixture

from smallmodel_operator.audit.report import FaultKind, Report
from smallmodel_operator.cli.audit import check
from smallmodel_operator.cli.audit_files import chains

ANSWERS = 300
Lines = list[tuple[Path, bytes]]


def _made() -> tuple[Path, int]:
    folder = Path(tempfile.mkdtemp())
    made = Fixture(folder, segment_bytes=64 * 1024)
    for _ in range(10):
        made.answer(ANSWERS // 10)
        made.read()
        made.recorder.checkpoint([])
    made.stop()
    return made.audit, made.recorder.seq


@contextmanager
def chain() -> Iterator[tuple[Path, int]]:
    """A copy of one chain, and how many records it has."""
    if not _ONCE:
        _ONCE.append(_made())
    folder, count = _ONCE[0]
    copy = Path(tempfile.mkdtemp()) / "audit"
    shutil.copytree(folder, copy)
    try:
        yield copy, count
    finally:
        shutil.rmtree(copy.parent)


_ONCE: list[tuple[Path, int]] = []


def verified(folder: Path) -> Report:
    (found,) = chains([str(folder)])
    return check(found, [SIGNER.public])


def lines_of(folder: Path) -> Lines:
    return [(p, line) for p in sorted(folder.glob("*.jsonl")) for line in p.read_bytes().splitlines(keepends=True)]


def write(lines: Lines, folder: Path) -> None:
    for path in folder.glob("*.jsonl"):
        path.write_bytes(b"".join(line for place, line in lines if place == path))


def places(rng: random.Random, count: int) -> list[int]:
    """1 % of the records, by their number; none beside another, so that each fault is one of its own."""
    wanted, found = max(1, count // 100), list[int]()
    while len(found) < wanted:
        place = rng.randrange(2, count)
        if all(abs(place - other) > 2 for other in found):
            found.append(place)
    return sorted(found)


def flip(rng: random.Random, line: bytes) -> bytes:
    at = rng.randrange(len(line) - 1)
    new = rng.choice([b for b in range(256) if b not in (line[at], 10)])
    return line[:at] + bytes([new]) + line[at + 1 :]


SEEDS = st.integers(0, 2**32)


def named(report: Report) -> set[int]:
    """Numbers of all records that a fault names."""
    return {seq for fault in report.faults for seq in range(fault.seq, max(fault.seq, fault.to) + 1)}


@given(SEEDS)
def test_edited_bytes(seed: int) -> None:
    rng = random.Random(seed)
    with chain() as (folder, count):
        lines, where = lines_of(folder), places(rng, count)
        for seq in where:
            lines[seq - 1] = (lines[seq - 1][0], flip(rng, lines[seq - 1][1]))
        write(lines, folder)
        report = verified(folder)
        assert named(report) == set(where)
        assert [f.seq for f in report.faults] == where
        assert {f.kind for f in report.faults} <= {FaultKind.EDITED, FaultKind.UNREADABLE}


@given(SEEDS)
def test_dropped_records(seed: int) -> None:
    rng = random.Random(seed)
    with chain() as (folder, count):
        lines, where = lines_of(folder), places(rng, count)
        write([item for seq, item in enumerate(lines, 1) if seq not in where], folder)
        report = verified(folder)
        assert [(f.kind, f.seq, f.to) for f in report.faults] == [(FaultKind.MISSING, s, s) for s in where]


@given(SEEDS)
def test_moved_records(seed: int) -> None:
    rng = random.Random(seed)
    with chain() as (folder, count):
        lines = lines_of(folder)
        first, second = sorted(rng.sample(range(1, count + 1), 2))
        a, b = lines[first - 1], lines[second - 1]
        lines[first - 1], lines[second - 1] = (a[0], b[1]), (b[0], a[1])
        write(lines, folder)
        report = verified(folder)
        place, number = a[0].name, [line for path, line in lines if path == a[0]].index(b[1]) + 1
        assert (report.faults[0].file, report.faults[0].line) == (place, number)
        assert {FaultKind.MISSING, FaultKind.MISPLACED} <= {f.kind for f in report.faults}


@given(SEEDS)
def test_repeated_records(seed: int) -> None:
    rng = random.Random(seed)
    with chain() as (folder, count):
        lines, where = lines_of(folder), places(rng, count)
        for seq in reversed(where):
            lines.insert(seq, lines[seq - 1])
        write(lines, folder)
        assert [(f.kind, f.seq) for f in verified(folder).faults] == [(FaultKind.MISPLACED, s) for s in where]


@given(SEEDS)
def test_truncated_segments(seed: int) -> None:
    """Any segment, the last one too, cut at any byte: the first record that is not whole is named."""
    rng = random.Random(seed)
    with chain() as (folder, _):
        path = rng.choice(sorted(folder.glob("*.jsonl")))
        data = path.read_bytes()
        size = rng.randrange(len(data))
        path.write_bytes(data[:size])
        report = verified(folder)
        first = int(path.stem) + data[:size].count(b"\n")
        assert report.faults[0].seq == first
        assert FaultKind.MISSING in {f.kind for f in report.faults}


@given(SEEDS)
def test_everything_at_once(seed: int) -> None:
    """The first place is the first that was touched."""
    rng = random.Random(seed)
    with chain() as (folder, count):
        lines, where = lines_of(folder), places(rng, count)
        acts: list[Callable[[int], None]] = [
            lambda seq: lines.__setitem__(seq - 1, (lines[seq - 1][0], flip(rng, lines[seq - 1][1]))),
            lambda seq: lines.__delitem__(seq - 1),
        ]
        for seq in reversed(where):
            rng.choice(acts)(seq)
        write(lines, folder)
        report = verified(folder)
        assert [f.seq for f in report.faults] == where


def test_nothing_is_found_where_nothing_was_done() -> None:
    with chain() as (folder, count):
        report = verified(folder)
        assert (report.faults, report.warnings, report.last) == ([], [], count)


@given(st.integers(0, 10_000))
def test_an_edited_head(place: int) -> None:
    with chain() as (folder, _):
        head = folder / "head.json"
        data = bytearray(head.read_bytes().rstrip(b"\n"))
        data[place % len(data)] ^= 1
        head.write_bytes(data)
        faults = verified(folder).faults
        assert faults
        assert {f.kind for f in faults} <= {FaultKind.HEAD, FaultKind.STRANGE_KEY, FaultKind.MISSING}
