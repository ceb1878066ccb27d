"""Whole folders of records in hostile hands: whatever is done to them is found, at its place; what nobody touched is
not; nothing a crash leaves is called tampering. Everything is drawn from seeds; many more of them run as `long`.
"""

import os
import random
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest
from tests.fakes.folders import (
    EDITS,
    THIEF,
    Files,
    Made,
    committed,
    head,
    lines,
    load,
    make,
    numbers,
    rechain,
    segments,
    write,
)

from smallmodel_operator.audit.head import Head
from smallmodel_operator.audit.record import read
from smallmodel_operator.audit.report import FaultKind, Report
from smallmodel_operator.cli.audit import check, verify
from smallmodel_operator.cli.audit_files import chains

FEW, MANY = range(3), range(3, 30)
SEEDS = [*FEW, *(pytest.param(seed, marks=pytest.mark.long) for seed in MANY)]
"""Each kind of edit, with so many seeds."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    patch = pytest.MonkeyPatch()
    for name in ("fsync", "fdatasync"):
        patch.setattr(os, name, lambda _: None)
    found = make(tmp_path_factory.mktemp("made"))
    patch.undo()
    assert min(len(segments(found.files, f"gateway-{n}")) for n in range(2)) >= 4
    assert all(not segments(found.files, f"gateway-{n}")[0].endswith("/00000000000000000001.jsonl") for n in range(2))
    return found


def checked(files: Files, folder: Path, keys: list[str] | None = None) -> dict[str, Report]:
    """By gateway."""
    write(files, folder)
    return {
        str(chain.folder.relative_to(folder)).split("/")[0]: check(chain, keys or []) for chain in chains([str(folder)])
    }


def faults(reports: dict[str, Report]) -> list[str]:
    return [str(fault) for report in reports.values() for fault in report.faults]


@dataclass(frozen=True)
class Place:
    """The first byte that is another one: where that is, and which record was there."""

    file: str
    line: int
    seq: int


def place_of(before: bytes, after: bytes, name: str) -> Place:
    at = next((i for i, (a, b) in enumerate(zip(before, after, strict=False)) if a != b), min(len(before), len(after)))
    line = before[:at].count(b"\n")
    known = lines(before)
    return Place(name.rpartition("/")[2], line + 1, read(known[min(line, len(known) - 1)]).seq)


def found_at(report: Report, place: Place) -> bool:
    """Is there a fault in this line or beside it, or does one name the record that was there?"""
    return any(
        (fault.file == place.file and abs(fault.line - place.line) <= 1 and fault.line > 0)
        or fault.seq - 1 <= place.seq <= max(fault.seq, fault.to) + 1
        for fault in report.faults
    )


def test_what_nobody_touched_is_intact(made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for files in (made.files, *made.backups):
        for keys in ([], made.keys):
            assert faults(checked(files, tmp_path / "copy", keys)) == []
    reports = checked(made.files, tmp_path / "copy")
    assert ["another key signs" in warning for warning in reports["gateway-0"].warnings] == [True]
    assert reports["gateway-1"].warnings == []
    assert [report.tail for report in reports.values()] == [0, 0]
    assert verify([str(tmp_path / "copy")], [], False, "table") == 0
    assert capsys.readouterr().out.count(": intact: records") == 2


@pytest.mark.parametrize("edit", EDITS)
@pytest.mark.parametrize("seed", SEEDS)
def test_an_edit_of_any_kind_at_any_place(made: Made, tmp_path: Path, edit: str, seed: int) -> None:
    """In 1 % of all lines, at least one; the first of them is where the first fault is."""
    rng = random.Random(f"{edit} {seed}")
    files, gateway = dict(made.files), f"gateway-{rng.randrange(2)}"
    wanted = [(n, i) for n in segments(files, gateway) for i in range(len(lines(files[n])))]
    places = sorted(rng.sample(wanted, max(1, len(wanted) // 100)))
    for name, index in reversed(places):
        known = lines(files[name])
        known[index] = EDITS[edit](rng, known[index])
        files[name] = b"".join(known)
    first = places[0][0]
    report = checked(files, tmp_path / "copy")[gateway]
    assert not report.intact, places
    assert found_at(report, place_of(made.files[first], files[first], first)), (places, report.faults)
    assert verify([str(tmp_path / "copy")], made.keys, False, "json") == 1


@pytest.mark.parametrize("seed", SEEDS)
def test_lines_in_another_order(made: Made, tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    files, more = dict(made.files), [n for n in segments(made.files) if len(lines(made.files[n])) > 1]
    name = rng.choice(more)
    known = lines(files[name])
    a, b = sorted(rng.sample(range(len(known)), 2))
    known[a], known[b] = known[b], known[a]
    files[name] = b"".join(known)
    report = checked(files, tmp_path / "copy")[name.split("/")[0]]
    assert found_at(report, place_of(made.files[name], files[name], name)), report.faults


# -- whole files ---------------------------------------------------------------------------------------------------


def _drop(rng: random.Random, files: Files, name: str) -> None:
    del files[name]


def _empty(rng: random.Random, files: Files, name: str) -> None:
    files[name] = b""


def _cut(rng: random.Random, files: Files, name: str) -> None:
    files[name] = files[name][: rng.randrange(len(files[name]))]


def _renamed(rng: random.Random, files: Files, name: str) -> None:
    folder, _, file = name.rpartition("/")
    files[f"{folder}/{int(file.split('.')[0]) + rng.choice((1, -1)):020d}.jsonl"] = files.pop(name)


def _copied(rng: random.Random, files: Files, name: str) -> None:
    folder, _, file = name.rpartition("/")
    files[f"{folder}/{int(file.split('.')[0]) + rng.randrange(1, 40):020d}.jsonl"] = files[name]


def _other(rng: random.Random, files: Files, name: str) -> None:
    """Exchanged with one of the other gateway."""
    other = rng.choice(segments(files, "gateway-1" if "gateway-0" in name else "gateway-0"))
    files[name], files[other] = files[other], files[name]


def _exchanged(rng: random.Random, files: Files, name: str) -> None:
    other = rng.choice([n for n in segments(files, name.split("/")[0]) if n != name])
    files[name], files[other] = files[other], files[name]


def _moved(rng: random.Random, files: Files, name: str) -> None:
    """The last line of one is the first of the next."""
    known = segments(files, name.split("/")[0])
    a = min(known.index(name), len(known) - 2)
    last = lines(files[known[a]])[-1]
    files[known[a]] = files[known[a]][: -len(last)]
    files[known[a + 1]] = last + files[known[a + 1]]


def _trailing(rng: random.Random, files: Files, name: str) -> None:
    """After the last newline of one that is not the last."""
    known = segments(files, name.split("/")[0])
    files[rng.choice(known[:-1])] += rng.choice([b"\0" * 4096, b"x", b"{}", b" ", b"\n", b"\r\n", b"no record\n"])


def _windows(rng: random.Random, files: Files, name: str) -> None:
    files[name] = files[name].replace(b"\n", b"\r\n")


def _headless(rng: random.Random, files: Files, name: str) -> None:
    del files[head(name)]


def _heads(rng: random.Random, files: Files, name: str) -> None:
    """The other gateway's."""
    mine = name.split("/")[0]
    other = head(name.replace(mine, {"gateway-0": "gateway-1", "gateway-1": "gateway-0"}[mine]))
    files[head(name)], files[other] = files[other], files[head(name)]


def _everything(rng: random.Random, files: Files, name: str) -> None:
    """All segments; the head is left."""
    for segment in segments(files, name.split("/")[0]):
        del files[segment]


def _headed(rng: random.Random, files: Files, name: str) -> None:
    """The end, and the head with it."""
    known = segments(files, name.split("/")[0])
    files[known[-1]] = b"".join(lines(files[known[-1]])[:-1])
    del files[head(name)]


WHOLE: dict[str, Callable[[random.Random, Files, str], None]] = {
    act.__name__.strip("_"): act
    for act in (
        _drop, _empty, _cut, _renamed, _copied, _other, _exchanged, _moved, _trailing, _windows, _headless,
        _heads, _everything, _headed,
    )
}  # fmt: skip


@pytest.mark.parametrize("act", WHOLE)
@pytest.mark.parametrize("seed", SEEDS)
def test_whole_files(made: Made, tmp_path: Path, act: str, seed: int, capsys: pytest.CaptureFixture[str]) -> None:
    rng = random.Random(f"{act} {seed}")
    files, name = dict(made.files), rng.choice(segments(made.files))
    WHOLE[act](rng, files, name)
    assert files != made.files
    reports = checked(files, tmp_path / "copy")
    assert faults(reports), name
    assert all(fault.file for report in reports.values() for fault in report.faults)
    touched = {n.split("/")[0] for n in made.files if made.files[n] != files.get(n)} | {name.split("/")[0]}
    assert {gateway for gateway, report in reports.items() if report.faults} <= touched
    assert verify([str(tmp_path / "copy")], [], False, "table") == 1


@pytest.mark.parametrize("step", [127, pytest.param(1, marks=pytest.mark.long)])
def test_the_last_segment_cut_at_any_byte(made: Made, tmp_path: Path, step: int) -> None:
    name = segments(made.files, "gateway-1")[-1]
    whole = made.files[name]
    write(made.files, tmp_path)
    (chain,) = chains([str(tmp_path / "gateway-1")])
    for size in range(0, len(whole), step):
        (tmp_path / name).write_bytes(whole[:size])
        report = check(chain)
        last = read(lines(whole)[-1]).seq
        assert [f.kind for f in report.faults] == [FaultKind.MISSING], size
        assert (report.faults[0].seq, report.faults[0].to) == (int(Path(name).stem) + whole[:size].count(b"\n"), last)


def test_the_same_records_in_fewer_files_are_the_same_chain(made: Made, tmp_path: Path) -> None:
    """As somebody puts them together for a program; nothing is lost and nothing is moved."""
    files = dict(made.files)
    for name in segments(files, "gateway-1")[:0:-1]:
        known = segments(files, "gateway-1")
        files[known[known.index(name) - 1]] += files.pop(name)
    assert faults(checked(files, tmp_path / "copy")) == []


# -- what a crash leaves -------------------------------------------------------------------------------------------


def crashed(made: Made) -> tuple[Files, str, int]:
    """Everything up to one commit and its head, and the whole next commit after it; where that one begins."""
    for earlier, later in reversed([*pairwise(made.backups)]):
        name = segments(earlier, "gateway-1")[-1]
        end = len(earlier[name])
        following = next((e for e in committed(later[name]) if e > end), end)
        if later[name][end:following].count(b"\n") > 1:
            assert later[name].startswith(earlier[name])
            return {**earlier, name: later[name][:following]}, name, end
    raise AssertionError("no commit of several records in a segment that was there before")


@pytest.mark.timeout(900)  # every byte of a segment
@pytest.mark.parametrize("step", [127, pytest.param(1, marks=pytest.mark.long)])
def test_what_was_not_committed_is_a_tail_and_nothing_more(made: Made, tmp_path: Path, step: int) -> None:
    """Cut at any byte behind the last commit, and what is behind it in one of four ways: nothing, zeros up to where
    it would have ended or further, or all of it, with a hole before the cut."""
    files, name, end = crashed(made)
    write(files, tmp_path)
    whole, (chain,) = files[name], chains([str(tmp_path / "gateway-1")])
    before = read(lines(whole[:end])[-1]).seq
    rng = random.Random(1)
    for at, size in enumerate(range(end + 1, len(whole), step)):
        hole = rng.randrange(end, size)
        ways = (
            whole[:size],
            whole[:size] + b"\0" * (len(whole) - size),
            whole[:size] + b"\0" * 4096,
            whole[:hole] + b"\0" * (size - hole) + whole[size:],  # what is behind it reached the disk first
        )
        # Each byte is cut at; the ways take turns, and beside a line's end, where they differ, all are tried.
        near = b"\n" in whole[max(end, size - 2) : size + 2] or step > 1
        for left in ways if near else (ways[at % len(ways)],):
            (tmp_path / name).write_bytes(left)
            report = check(chain, made.keys)
            assert (report.faults, report.tail, report.last) == ([], len(left) - end, before), (hole, size)


def test_an_edit_in_a_commit_no_head_was_signed_for_yet_is_found(made: Made, tmp_path: Path) -> None:
    files, name, end = crashed(made)
    rng = random.Random(2)
    for edit in sorted(EDITS.keys() - {"zero", "joined"}):
        known = lines(files[name][end:])
        assert len(known) > 1
        known[0] = EDITS[edit](rng, known[0])
        report = checked({**files, name: files[name][:end] + b"".join(known)}, tmp_path / "copy")["gateway-1"]
        assert report.faults, edit


# -- somebody without the key who makes all hashes fit -------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("how", ["as-it-was", "own-key", "own-key-note", "no-commits"])
@pytest.mark.parametrize("which", ["now", "older"])
def test_a_chain_made_anew_without_the_key(made: Made, tmp_path: Path, seed: int, how: str, which: str) -> None:
    """With the head of now, with one's own, or with an older one, signed before the first record that changed."""
    rng = random.Random(f"{how} {which} {seed}")
    gateway = f"gateway-{rng.randrange(2)}"
    records = list(numbers(made.files, gateway))
    own = how.startswith("own-key")
    heads = [found for backup in made.backups if (found := backup.get(f"{gateway}/audit/head.json"))]
    older = rng.choice([found for found in heads if Head.load(found).seq >= records[0].seq])
    before = Head.load(older).seq if which == "older" else records[0].seq
    first = rng.choice([r.seq for r in records if r.seq > before + 20] or [records[-30].seq])
    files = rechain(made.files, gateway, first, sign=own, strip=how == "no-commits", note=how == "own-key-note")
    if which == "older":
        files[f"{gateway}/audit/head.json"] = older
    elif own:
        last = list(numbers(files, gateway))[-1]
        files[f"{gateway}/audit/head.json"] = Head(last.seq, last.hash, gateway, "").dump(THIEF)
    for keys in ([], made.keys):
        report = checked(files, tmp_path / "copy", keys)[gateway]
        if how == "no-commits" and which == "older" and not report.faults:
            # All in one file: what a crash leaves. It counts for nothing, and what was there is gone: see the backup.
            assert report.tail
            assert report.last < first
            continue
        assert report.faults, first
        assert max(max(fault.seq, fault.to) for fault in report.faults) >= first - 1


@pytest.mark.parametrize("seed", FEW)
def test_an_older_copy_is_found_by_who_noted_the_newer_one(
    made: Made, tmp_path: Path, seed: int, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = random.Random(seed)
    write(made.files, tmp_path / "new")
    assert verify([str(tmp_path / "new")], [], False, "json") == 0
    noted = tmp_path / "noted.json"
    noted.write_text(capsys.readouterr().out)
    assert verify([str(tmp_path / "new")], [], False, "table", str(noted)) == 0
    write(rng.choice(made.backups[:-1]), tmp_path / "old")
    assert verify([str(tmp_path / "old")], [], False, "table") == 0
    assert verify([str(tmp_path / "old")], [], False, "table", str(noted)) == 1
    write({k: v for k, v in made.files.items() if "gateway-0" in k}, tmp_path / "one")
    capsys.readouterr()
    assert verify([str(tmp_path / "one")], [], False, "table", str(noted)) == 1
    assert "no records of gateway" in capsys.readouterr().err


# -- folders that hold something else ------------------------------------------------------------------------------


def _directory(path: Path) -> None:
    path.mkdir()


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _loop(path: Path) -> None:
    path.symlink_to(path.name)


def _nowhere(path: Path) -> None:
    path.symlink_to("gone")


def _long(path: Path) -> None:
    path.write_bytes(b"x" * 40_000_000 + b"\n" + b"y" * 10)


def _bytes(path: Path) -> None:
    path.write_bytes(bytes(range(256)) * 50 + b"\n" + b"[" * 100_000 + b"\n" + b'{"a":' * 5000 + b"\n\n\xff\n")


STRANGE = (_directory, _pipe, _loop, _nowhere, _long, _bytes)


@pytest.mark.parametrize("strange", STRANGE, ids=lambda f: f.__name__.strip("_"))
@pytest.mark.parametrize("which", [0, 2, -1])
@pytest.mark.timeout(120)
def test_what_is_no_segment_is_named_and_the_rest_is_checked(
    made: Made, tmp_path: Path, strange: Callable[[Path], None], which: int, capsys: pytest.CaptureFixture[str]
) -> None:
    write(made.files, tmp_path)
    path = tmp_path / segments(made.files, "gateway-0")[which]
    path.unlink()
    strange(path)
    assert verify([str(tmp_path)], [], False, "table") == 1
    said = capsys.readouterr().out
    assert path.name in said
    assert "gateway-1: intact" in said
    report = check(chains([str(tmp_path / "gateway-0")])[0])
    assert FaultKind.UNREADABLE in {fault.kind for fault in report.faults}


def test_a_head_that_is_no_file_is_a_fault(made: Made, tmp_path: Path) -> None:
    for strange in STRANGE:
        write(made.files, tmp_path / "copy")
        path = tmp_path / "copy" / "gateway-0" / "audit" / "head.json"
        path.unlink()
        strange(path)
        assert FaultKind.HEAD in {f.kind for f in check(chains([str(tmp_path / "copy" / "gateway-0")])[0]).faults}


def test_every_file_of_a_folder_can_be_named(made: Made, tmp_path: Path) -> None:
    """As a shell does with `audit/*`: what is no segment is not taken for one."""
    write(made.files, tmp_path)
    audit = tmp_path / "gateway-1" / "audit"
    (audit / "in-force.json").write_text("{}")
    assert verify([str(path) for path in audit.iterdir()], [], False, "table") == 0
    assert load(tmp_path)
