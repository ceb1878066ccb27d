"""Each way to tamper with the files is found, named and placed; what a crash leaves is not called tampering."""

import json
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from tests.fakes.chain import BEGAN, SIGNER, Fixture

from smallmodel_operator.audit.head import Head
from smallmodel_operator.audit.policies import hash_of
from smallmodel_operator.audit.record import ORIGIN, Kind, read, seal
from smallmodel_operator.audit.report import FaultKind, Report
from smallmodel_operator.audit.sign import Signer, signed
from smallmodel_operator.cli.audit import check
from smallmodel_operator.cli.audit_files import chains


@pytest.fixture
def made(tmp_path: Path) -> Fixture:
    """40 answers over several segments, a checkpoint in the middle and one at the end."""
    found = Fixture(tmp_path)
    for number in (20, 20):
        found.answer(number)
        found.read()
        found.recorder.checkpoint([{"since": found.life, "finished": 20, "recorded": 20, "missing": 0, "surplus": 0}])
    found.stop()
    assert len(found.segments) > 3
    return found


def report(made: Fixture, key: str = SIGNER.public, *, part: bool = False) -> Report:
    (chain,) = chains([str(made.audit)])
    return check(chain, [key] if key else [], part=part)


def faults(made: Fixture, key: str = SIGNER.public) -> list[tuple[FaultKind, int, int]]:
    return [(fault.kind, fault.seq, fault.to) for fault in report(made, key).faults]


def edit(made: Fixture, seq: int, change: Callable[[bytes], bytes | list[bytes]]) -> None:
    """Change the line of a record."""
    for path in made.segments:
        lines = path.read_bytes().splitlines(keepends=True)
        for index, line in enumerate(lines):
            if f'"seq":{seq},'.encode() in line:
                changed = change(line)
                lines[index : index + 1] = changed if isinstance(changed, list) else [changed]
                path.write_bytes(b"".join(lines))
                return
    raise AssertionError(f"no record {seq}")


def test_what_was_written_is_intact(made: Fixture) -> None:
    found = report(made)
    assert found.faults == []
    assert found.warnings == []
    assert (found.first, found.last, found.answers) == (1, len(made.records), 40)
    assert found.signed_to == found.last
    assert found.keys == [SIGNER.public]
    assert found.counts()[0]["missing"] == 0
    assert [note["event"] for note in found.notes] == ["chain-began", "agent-began", "log-opened"]
    json.dumps(found.dump())


def test_an_edited_record(made: Fixture) -> None:
    edit(made, 9, lambda line: line.replace(b'"bot"', b'"bob"'))
    edit(made, 30, lambda line: line.replace(b'status_code":200', b'status_code":500'))  # not in a hash
    assert faults(made) == [(FaultKind.EDITED, 9, 0), (FaultKind.EDITED, 30, 0)]
    fault = report(made).faults[0]
    assert fault.file in {p.name for p in made.segments}
    assert fault.line
    assert f"{fault.file}:{fault.line}: record 9: edited" in str(fault)


def test_an_edited_record_with_a_hash_that_fits(made: Fixture) -> None:
    def forge(line: bytes) -> bytes:
        record = read(line)
        return seal({**record.body, "gen_ai.request.model": "bob"}, record.seq, record.prev)[0]

    inner = next(r["seq"] for r in made.records if r["seq"] > 8 and "commit" not in r)
    edit(made, inner, forge)
    assert faults(made) == [(FaultKind.UNLINKED, inner + 1, 0)]
    last = next(r["seq"] for r in made.records if r["seq"] > inner + 1 and "commit" in r)
    edit(made, last, forge)
    assert faults(made)[1:] == [(FaultKind.UNSIGNED, last, 0), (FaultKind.UNLINKED, last + 1, 0)]


def test_a_record_that_is_gone(made: Fixture) -> None:
    edit(made, 9, lambda line: b"")
    edit(made, 20, lambda line: b"")
    assert faults(made) == [(FaultKind.MISSING, 9, 9), (FaultKind.MISSING, 20, 20)]


def test_records_that_changed_places(made: Fixture) -> None:
    path = made.segments[1]
    lines = path.read_bytes().splitlines(keepends=True)
    seq = read(lines[0]).seq
    path.write_bytes(b"".join([lines[1], lines[0], *lines[2:]]))
    assert faults(made) == [(FaultKind.MISPLACED, seq + 1, 0), (FaultKind.MISSING, seq + 1, seq + 1)]


def test_a_record_that_is_there_twice(made: Fixture) -> None:
    edit(made, 9, lambda line: [line, line])
    assert faults(made) == [(FaultKind.MISPLACED, 9, 0)]


def test_a_line_that_is_no_record(made: Fixture) -> None:
    edit(made, 9, lambda line: b"no record\n")
    edit(made, 11, lambda line: line[:-80] + b"\n")
    assert faults(made) == [(FaultKind.UNREADABLE, 9, 0), (FaultKind.UNREADABLE, 11, 0)]


def test_a_segment_that_is_gone(made: Fixture) -> None:
    gone = made.segments[2]
    first = int(gone.stem)
    last = int(made.segments[3].stem) - 1
    gone.unlink()
    assert faults(made) == [(FaultKind.MISSING, first, last)]


def test_a_beginning_that_is_gone(made: Fixture) -> None:
    last = int(made.segments[1].stem) - 1
    made.segments[0].unlink()
    assert faults(made) == [(FaultKind.MISSING, 1, last)]
    assert report(made, part=True).intact


def test_an_end_that_is_gone(made: Fixture) -> None:
    whole = len(made.records)
    path = made.segments[-1]
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    assert faults(made) == [(FaultKind.MISSING, whole, whole)]
    last = int(path.stem)
    path.unlink()
    assert faults(made) == [(FaultKind.MISSING, last, whole)]


def test_an_end_that_was_cut_within_a_record(made: Fixture) -> None:
    path, whole = made.segments[-1], len(made.records)
    path.write_bytes(path.read_bytes()[:-7])
    found = report(made)
    assert [(f.kind, f.seq, f.to) for f in found.faults] == [(FaultKind.MISSING, whole, whole)]
    assert found.tail > 0


def test_a_segment_that_was_cut_within_a_record(made: Fixture) -> None:
    path, next_first = made.segments[1], int(made.segments[2].stem)
    path.write_bytes(path.read_bytes()[:-7])
    assert [kind for kind, _, _ in faults(made)] == [FaultKind.UNREADABLE, FaultKind.MISSING]
    assert {seq for _, seq, _ in faults(made)} == {next_first - 1}


def test_what_was_not_committed_is_no_fault(made: Fixture) -> None:
    """A write that is going on, or was cut short: said, and no more."""
    with made.segments[-1].open("ab") as file:
        file.write(b'{"kind":"answer"')
    found = report(made)
    assert found.intact
    assert found.tail == 16


def test_a_head_that_is_edited_or_gone(made: Fixture) -> None:
    head = made.audit / "head.json"
    text = head.read_bytes()
    head.write_bytes(text.replace(b'"gateway-0"', b'"gateway-1"'))
    assert [kind for kind, _, _ in faults(made)] == [FaultKind.HEAD]
    head.write_bytes(Head(len(made.records), "0" * 64).dump(SIGNER))
    assert [kind for kind, _, _ in faults(made)] == [FaultKind.HEAD]
    head.unlink()
    assert faults(made) == [(FaultKind.HEAD, len(made.records), 0)]
    assert "Copy it, too" in str(report(made).faults[0])
    assert report(made, part=True).intact


def test_files_under_another_name(made: Fixture) -> None:
    """Renamed so that their order stays, or with a record of the one before at their beginning."""
    first, second = made.segments[1:3]
    number = int(second.stem)
    renamed = second.with_name(f"{number - 1:020d}.jsonl")
    second.rename(renamed)
    assert faults(made) == [(FaultKind.MISPLACED, number, 0)]
    assert f"named after record {number - 1}, and begins with record {number}" in str(report(made).faults[0])
    renamed.rename(second)
    whole, last = first.read_bytes(), first.read_bytes().splitlines(keepends=True)[-1]
    first.write_bytes(whole[: -len(last)])
    second.write_bytes(last + second.read_bytes())
    assert faults(made) == [(FaultKind.MISPLACED, number - 1, 0)]


def test_records_nobody_committed_do_not_count(made: Fixture) -> None:
    """They stand after the last signature: a crash leaves them, or somebody without the key."""
    path, whole = made.segments[-1], len(made.records)
    prev = read(path.read_bytes().splitlines()[-1]).hash
    line, prev = seal({"kind": "note", "event": "x", "time": "t"}, whole + 1, prev)
    path.write_bytes(path.read_bytes() + line)
    found = report(made)
    assert (found.faults, found.last, found.tail) == ([], whole, len(line))
    assert "x" not in [note["event"] for note in found.notes]
    another, _ = seal({"kind": "note", "event": "x", "time": "t"}, whole + 2, prev)
    path.with_name(f"{whole + 2:020d}.jsonl").write_bytes(another)
    assert faults(made) == [(FaultKind.UNSIGNED, whole + 1, whole + 2)]


def test_a_line_that_was_cut_off_is_named_where_it_is(made: Fixture) -> None:
    path = made.segments[1]
    lines = path.read_bytes().count(b"\n")
    path.write_bytes(path.read_bytes() + b"x")
    (fault,) = report(made).faults
    assert (fault.kind, fault.file, fault.line) == (FaultKind.UNREADABLE, path.name, lines + 1)


def test_a_chain_somebody_else_signed(made: Fixture, tmp_path: Path) -> None:
    """All made anew with another key: whole in itself, and not the gateway's."""
    (tmp_path / "other").mkdir()
    other = Fixture(tmp_path / "other", signer=Signer(b"o" * 32))
    other.answer(5)
    other.read()
    other.recorder.checkpoint([])
    other.stop()
    assert {kind for kind, _, _ in faults(other)} == {FaultKind.STRANGE_KEY}
    assert faults(other, key="") == []
    shutil.copy(other.audit / "head.json", made.audit)
    assert FaultKind.STRANGE_KEY in {kind for kind, _, _ in faults(made, key="")}


def test_a_checkpoint_whose_signature_does_not_fit(made: Fixture) -> None:
    seq = next(r["seq"] for r in made.records if r["kind"] == "checkpoint")

    def forge(line: bytes) -> bytes:
        record = read(line)
        return seal({**record.body, "requests": []}, record.seq, record.prev)[0]

    edit(made, seq, forge)
    assert faults(made) == [(FaultKind.UNSIGNED, seq, 0), (FaultKind.UNLINKED, seq + 1, 0)]


def test_a_chain_begins_with_nothing_before_it(tmp_path: Path) -> None:
    folder = tmp_path / "audit"
    folder.mkdir()
    line, _ = seal({"kind": "note", "event": "x"}, 1, "1" * 64)
    (folder / "1.jsonl").write_bytes(line)
    (chain,) = chains([str(folder)])
    assert [f.kind for f in check(chain).faults] == [FaultKind.UNLINKED, FaultKind.HEAD]
    line, _ = seal(SIGNER.sign({"kind": "note", "event": "x", "commit": {}, "seq": 1, "prev": "1" * 64}), 1, "1" * 64)
    (folder / "1.jsonl").write_bytes(line)
    assert [f.kind for f in check(chain).faults] == [FaultKind.UNLINKED, FaultKind.HEAD]


def test_signatures() -> None:
    value = SIGNER.sign({"a": 1})
    assert signed(value)
    assert not signed({**value, "a": 2})
    assert not signed({**value, "key": "00"})
    assert not signed({"a": 1})
    assert ORIGIN not in repr(SIGNER)
    with pytest.raises(ValueError):
        Head.load(b"{}")


# -- what was in force -----------------------------------------------------------------------------------------

POLICY = {"allow": ["ns:support"], "name": "bot"}
NAMED = hash_of(POLICY)


def recorded(made: Fixture, **said: object) -> None:
    made.recorder.add({"kind": Kind.IN_FORCE, "slm.policy": NAMED, "policy": POLICY} | said)


def test_a_policy_is_recorded_before_answers_name_it(tmp_path: Path) -> None:
    made = Fixture(tmp_path)
    recorded(made)
    made.answer(3, **{"slm.policy": NAMED})
    made.read()
    found = report(made)
    assert (found.in_force, found.unexplained, found.faults, found.warnings) == (1, 0, [], [])


def test_answers_under_a_policy_nobody_recorded_are_told_of(tmp_path: Path) -> None:
    made = Fixture(tmp_path)
    made.answer(2, **{"slm.policy": NAMED})
    made.read()
    first = next(r["seq"] for r in made.records if r["kind"] == "answer")
    recorded(made)  # too late: a gateway records it first
    made.answer(1, **{"slm.policy": NAMED})
    made.read()
    found = report(made)
    assert (found.unexplained, found.faults) == (2, [])
    (warning,) = found.warnings
    assert f"2 answer(s), the first in record {first}, name the policy {NAMED}" in warning


def test_answers_without_the_hmac_their_policy_promises_are_told_of(tmp_path: Path) -> None:
    made, policy = Fixture(tmp_path), {**POLICY, "requestHMAC": {"keyGeneration": 1}}
    recorded(made, policy=policy, **{"slm.policy": hash_of(policy)})
    recorded(made)
    sent = {"slm.policy": hash_of(policy), "gen_ai.response.model": "support/bot"}
    made.answer(1, **sent, **{"slm.request.hmac": "1-0123456789abcdef:too-large"})
    made.answer(1, **{"slm.policy": hash_of(policy)})  # refused before it was sent on
    made.answer(1, **{**sent, "slm.policy": NAMED})
    made.read()
    assert report(made).warnings == []
    made.answer(2, **sent)
    made.read()
    first = made.records[-2]["seq"]
    found = report(made)
    assert (found.faults, found.unexplained) == ([], 0)
    assert found.warnings == [
        f"2 answer(s), the first in record {first}, have neither the HMAC of their request, which their policy "
        "promises, nor a word why there is none"
    ]


def test_a_record_that_says_another_policy_explains_nothing(tmp_path: Path) -> None:
    made = Fixture(tmp_path)
    recorded(made, policy={**POLICY, "allow": []})
    made.answer(1, **{"slm.policy": NAMED})
    made.read()
    found = report(made)
    assert found.unexplained == 1
    assert "says another policy than the hash" in found.warnings[0]


def test_where_old_segments_are_gone_it_may_be_recorded_anew_after_the_answers(tmp_path: Path) -> None:
    made = Fixture(tmp_path, segment_bytes=1)
    recorded(made)
    made.read()
    made.answer(2, **{"slm.policy": NAMED})
    made.read()
    made.recorder.retain(1, BEGAN - timedelta(days=1))
    assert not any(r["kind"] == "in-force" for r in made.records)
    assert report(made).unexplained == sum(r["kind"] == "answer" for r in made.records)
    recorded(made)
    made.read()
    assert report(made).unexplained == 0


def test_a_count_of_the_whole_fits_what_was_recorded_before(tmp_path: Path) -> None:
    made = Fixture(tmp_path)
    recorded(made, **{"slm.target": "a/b"})
    said = hash_of({"slm.target": "a/b", "slm.policy": NAMED, "policy": POLICY})
    for target in ("a/b", "a/other"):
        made.recorder.add({"kind": Kind.IN_FORCE, "event": "all", "slm.in_force": hash_of({target: said})})
    made.read()
    (warning,) = report(made).warnings
    assert warning == f"record {made.records[-1]['seq']} counts other models in force than the records before it say"
