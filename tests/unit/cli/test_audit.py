"""`slm audit`, as people run it."""

import json
import os
import re
from pathlib import Path

import pytest
import yaml
from tests.fakes.chain import BEGAN, SIGNER, Fixture
from tests.gateway.states import model
from typer.testing import CliRunner, Result

from smallmodel_operator.cli import audit_tail
from smallmodel_operator.cli.app import app
from smallmodel_operator.cli.audit import check
from smallmodel_operator.cli.audit_files import Chain, chains
from smallmodel_operator.gateway.policy import in_force, policy, policy_hash


@pytest.fixture
def made(tmp_path: Path) -> Fixture:
    """20 answers of a gateway, in several segments."""
    (tmp_path / "gateway-0").mkdir()
    found = Fixture(tmp_path / "gateway-0")
    found.answer(20)
    found.answer(1, **{"slm.target": "legal/bot"})
    found.read()
    found.recorder.checkpoint([{"since": found.life, "finished": 22, "recorded": 21, "missing": 1, "surplus": 0}])
    found.stop()
    return found


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["audit", *map(str, arguments)])


def test_verify(made: Fixture, tmp_path: Path) -> None:
    for where in (tmp_path, made.audit, *[made.segments]):
        done = run("verify", *(where if isinstance(where, list) else [where]))
        assert done.exit_code == 0, done.output
        assert "intact: records 1 to" in done.output
        assert "21 of them answers" in done.output
        assert f"with key {SIGNER.public} (whose key" in done.output
        assert "22 requests, 21 recorded, 1 missing, 0 too many" in done.output
    assert "whose key" not in run("verify", "--key", SIGNER.public, tmp_path).output


def test_verify_names_faults(made: Fixture, tmp_path: Path) -> None:
    path = made.segments[0]
    path.write_bytes(path.read_bytes().replace(b"request-2", b"request-x", 1))
    done = run("verify", tmp_path)
    assert done.exit_code == 1
    assert re.search(rf"1 FAULT.*\n  {path.name}:\d+: record \d+: edited", done.output)
    (value,) = json.loads(run("verify", "-o", "json", tmp_path).output)
    assert (value["intact"], value["faults"][0]["kind"], value["requests"][0]["missing"]) == (False, "edited", 1)
    assert "kind: edited" in run("verify", "-o", "yaml", tmp_path).output


def test_a_strange_key(made: Fixture, tmp_path: Path) -> None:
    done = run("verify", "--key", "00" * 32, tmp_path)
    assert done.exit_code == 1
    assert "strange-key" in done.output


def test_a_note_that_matters_is_shown(made: Fixture, tmp_path: Path) -> None:
    with made.log.open("ab") as log:
        log.write(b"no line\n")
    made.start()
    made.read()
    made.stop()
    assert 'log-garbage {"reason": "unreadable"}' in run("verify", tmp_path).output


@pytest.mark.parametrize("command", [["verify"], ["show", "x"], ["export"], ["tail"]])
def test_nothing_to_read(tmp_path: Path, command: list[str]) -> None:
    done = run(*command, tmp_path)
    assert done.exit_code == 2
    assert "no records in" in done.output
    done = run(*command, tmp_path / "gone")
    assert done.exit_code == 2
    assert "does not exist" in done.output


def test_show(made: Fixture, tmp_path: Path) -> None:
    done = run("show", "request-7", tmp_path)
    assert done.exit_code == 0
    assert "support/bot" in done.output
    assert "is as it was written" in done.output
    (value,) = json.loads(run("show", "request-7", tmp_path, "-o", "json").output)
    assert (value["request.id"], value["intact"]) == ("request-7", True)
    assert run("show", "request-99", tmp_path).exit_code == 1
    for path in made.segments:
        path.write_bytes(path.read_bytes().replace(b'"request-7"', b'"request-8"'))
    done = run("show", "request-8", tmp_path)
    assert done.exit_code == 1
    assert "IS NOT what was written" in done.output


def test_export(made: Fixture, tmp_path: Path) -> None:
    whole = run("export", tmp_path).output
    assert [json.loads(line) for line in whole.splitlines()] == made.records
    (tmp_path / "chain.jsonl").write_text(whole)
    assert check(Chain(tmp_path, (tmp_path / "chain.jsonl",)), part=True).intact
    (tmp_path / "chain.jsonl").unlink()
    assert [json.loads(x)["slm.target"] for x in run("export", "--target", "legal", tmp_path).output.splitlines()] == [
        "legal/bot"
    ]
    some = run("export", "--since", "2026-11-21T12:00:00.005", "--until", "2026-11-21T12:00:00.008", tmp_path)
    assert [json.loads(x)["request.id"] for x in some.output.splitlines()] == [f"request-{n}" for n in (5, 6, 7)]
    nothing = run("export", "--target", "supp", tmp_path)
    assert (nothing.exit_code, nothing.stdout) == (0, "")
    assert "No answer fits what is asked for" in nothing.output
    for time in ("november", "21.11.2026", "2026/11/22", "2026-11-21 12:00"):
        done = run("export", "--since", time, tmp_path)
        assert (done.exit_code, done.stdout) == (2, "")
        assert f"--since '{time}' is no time" in " ".join(done.output.split())


def test_show_says_what_was_in_force(made: Fixture, tmp_path: Path) -> None:
    bot = model("support/bot", generation=3, engine_image="engine@sha256:1")
    made.start()
    for said in ({}, {"generation": 4}):  # the one before the answer counts, and there is another after it
        made.recorder.add({"kind": "in-force", "generation": bot.generation, **in_force(bot), **said})
        made.answer(1, **{"slm.policy": policy_hash(bot)})
        made.read()
    made.answer(1, **{"slm.policy": "f" * 64})
    made.read()
    made.stop()
    done = run("show", "request-22", tmp_path)
    assert re.search(r"in force for it, by record \d+", done.output)
    assert '"image": "engine@sha256:1"' in done.output
    assert "ns:support" in done.output
    assert re.search(r"generation +3", done.output)
    (value,) = json.loads(run("show", "request-23", tmp_path, "-o", "json").output)
    assert (value["inForce"]["generation"], value["inForce"]["policy"]) == (4, policy(bot))
    assert "no record here says what that policy is" in run("show", "request-24", tmp_path).output
    assert "in force" not in run("show", "request-7", tmp_path).output


def test_export_for_opentelemetry(made: Fixture, tmp_path: Path) -> None:
    lines = [json.loads(line) for line in run("export", "--format", "otlp", tmp_path).output.splitlines()]
    records = [r for line in lines for r in line["resourceLogs"][0]["scopeLogs"][0]["logRecords"]]
    assert len(records) == len(made.records)
    (resource,) = {json.dumps(line["resourceLogs"][0]["resource"]) for line in lines}
    assert '"gateway-0"' in resource
    only = json.loads(run("export", "--format", "otlp", "--target", "legal", tmp_path).output)
    (record,) = only["resourceLogs"][0]["scopeLogs"][0]["logRecords"]
    assert {"key": "slm.target", "value": {"stringValue": "legal/bot"}} in record["attributes"]
    assert run("export", "--target", "supp", "--format", "otlp", tmp_path).stdout == ""
    done = run("export", "--format", "xml", tmp_path)
    assert done.exit_code == 2
    assert "it is one of jsonl, otlp" in done.output


def test_tail(made: Fixture, tmp_path: Path) -> None:
    done = run("tail", "-n", "3", tmp_path)
    assert [line.split()[-1] for line in done.output.splitlines()] == ["request-19", "request-20", "request-21"]
    assert json.loads(run("tail", "-n", "1", "-o", "json", tmp_path).output)["request.id"] == "request-21"


def test_tail_says_how_many_lines_it_cannot_show(made: Fixture, tmp_path: Path) -> None:
    segment = max(tmp_path.rglob("*.jsonl"))
    segment.write_bytes(b"\x00\x00\n{}\n" + segment.read_bytes())
    done = run("tail", "-n", "3", tmp_path)
    assert [line.split()[-1] for line in done.stdout.splitlines()] == ["request-19", "request-20", "request-21"]
    assert done.stderr == f"{segment}: 2 line(s) are no records and not shown: `slm audit verify` says more.\n"


def test_tail_reads_the_segments_of_days_with_few_answers(
    made: Fixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(made.segments) > 2
    assert len(run("tail", "-n", "50", tmp_path).output.splitlines()) == 21
    monkeypatch.setattr(audit_tail, "QUICK_BYTES", 1)
    assert len(run("tail", "-n", "50", tmp_path).output.splitlines()) < 21, "large ones: the newest two"


def test_tail_and_verify_say_when_inference_was_stopped(made: Fixture, tmp_path: Path) -> None:
    made.start()
    said = {"generation": 3, "inference": "Stopped", "reason": "ticket 7", "namespaces": {"crm": ""}}
    made.recorder.note("boundary", **said, since="", cut=2, cut_others=1)
    made.recorder.commit()
    made.recorder.note("boundary", generation=4, inference="Allowed", reason="", namespaces={}, since="", cut=0)
    made.recorder.commit()
    made.stop()
    stopped = "in force: inference stopped in the whole cluster (ticket 7), namespace crm; 3 running requests cut"
    for words in (("tail", "-n", "50"), ("verify",)):
        output = run(*words, tmp_path).output
        assert f"ClusterBoundary generation 3 {stopped}" in output
        assert "ClusterBoundary generation 4 in force: inference allowed" in output
    assert run("verify", tmp_path).exit_code == 0


def test_tail_names_the_gateway_of_each_line(made: Fixture, tmp_path: Path) -> None:
    """What concerns all of them is told by each: without a name it looks like one thing that happened twice."""
    (tmp_path / "gateway-1").mkdir()
    other = Fixture(tmp_path / "gateway-1", gateway="pod-1")
    other.answer(1)
    other.read()
    made.start()
    for chain in (made, other):
        chain.recorder.note("boundary", generation=3, inference="Allowed", reason="", namespaces={}, since="", cut=0)
        chain.recorder.commit()
        chain.stop()
    lines = run("tail", "-n", "99", tmp_path).output.splitlines()
    assert sorted(line.split()[1] for line in lines if "generation 3" in line) == ["gateway-0", "pod-1"]
    assert [line.split()[1] for line in lines if line.endswith("request-1")] == ["gateway-0", "pod-1"]
    values = [json.loads(line) for line in run("tail", "-n", "99", "-o", "json", tmp_path).output.splitlines()]
    assert {value["gateway"] for value in values} == {"gateway-0", "pod-1"}
    (other.audit / "head.json").unlink()
    assert "gateway-1  ClusterBoundary" in run("tail", "-n", "99", tmp_path).output, "its folder is all that is left"


def test_a_finding_of_an_earlier_release_does_not_end_before_it_begins(made: Fixture, tmp_path: Path) -> None:
    made.start()
    times = {"since": "2026-11-21T03:58:00Z", "until": "2026-11-21T03:53:00Z"}
    made.recorder.note("enforcement", status="True", reason="R", message="m", through=[], **times)
    made.recorder.commit()
    made.stop()
    output = run("tail", tmp_path).output
    assert "policies enforced from 2026-11-21T03:58:00Z on, seen at 2026-11-21T03:53:00Z" in output
    assert "until" not in output


def test_tail_follows(made: Fixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made.start()
    turns = iter(range(3))

    def sleep(_: float) -> None:
        if next(turns) == 2:
            raise KeyboardInterrupt
        made.answer()
        made.read()

    monkeypatch.setattr(audit_tail.time, "sleep", sleep)
    done = run("tail", "-f", "-n", "0", tmp_path)
    made.stop()
    assert [line.split()[-1] for line in done.output.splitlines()] == ["request-22", "request-23"]
    assert done.exit_code == 0


def test_several_gateways_are_several_chains(made: Fixture, tmp_path: Path) -> None:
    (tmp_path / "gateway-1").mkdir()
    other = Fixture(tmp_path / "gateway-1")
    other.answer(2)
    other.read()
    other.stop()
    assert len(chains([str(tmp_path)])) == 2
    done = run("verify", tmp_path)
    assert done.exit_code == 0
    assert done.output.count("intact") == 2


def test_help_names_every_command() -> None:
    words = run("--help").output
    assert all(name in words for name in ("verify", "show", "export", "tail"))


# -- as users meet them ----------------------------------------------------------------------------------------


def words(done: Result) -> str:
    return " ".join(done.output.split())


def test_the_beginning_of_an_id_is_enough_if_it_is_one(made: Fixture, tmp_path: Path) -> None:
    made.start()
    made.answer(1, **{"request.id": "0b9d6f0e-7f5a"})
    made.answer(2, **{"request.id": "0b9d6f0f-1111"})
    made.read()
    made.stop()
    assert "0b9d6f0e-7f5a" in run("show", "0b9d6f0e", tmp_path).output
    done = run("show", "0b9d", tmp_path)
    assert done.exit_code == 1
    assert "2 requests begin with '0b9d': 0b9d6f0e-7f5a, 0b9d6f0f-1111. Give more" in words(done)
    assert run("show", "request-1", tmp_path).exit_code == 0, "the whole id is meant, not request-10"
    assert len(json.loads(run("show", "0b9d6f0f-1111", tmp_path, "-o", "json").output)) == 2
    done = run("show", "request-", tmp_path)
    assert "and 11 more" in words(done)
    assert run("show", "", tmp_path).exit_code == 1


def test_show_for_programs(made: Fixture, tmp_path: Path) -> None:
    (value,) = yaml.safe_load(run("show", "request-7", tmp_path, "-o", "yaml").output)
    assert value == json.loads(run("show", "request-7", tmp_path, "-o", "json").output)[0]
    done = run("show", "request-99", tmp_path)
    assert "no record of request 'request-99': it may have come to a gateway whose records are not here" in words(done)


def test_what_a_caller_chose_does_not_steer_the_terminal(made: Fixture, tmp_path: Path) -> None:
    """Nor is it markup: `[/]` as a model's name would end the command."""
    made.start()
    chosen = {"gen_ai.request.model": "[/] [red]\x1b[2J\u202e\n", "slm.caller": "\x1b[31m"}
    made.answer(1, **{"request.id": "evil", **chosen})
    made.read()
    made.stop()
    done = run("show", "evil", tmp_path)
    assert done.exit_code == 0, done.output
    assert r"[/] [red]\x1b[2J\u202e\n" in done.output
    assert "\x1b" not in run("tail", "-n", "2", tmp_path).output
    assert run("verify", tmp_path).exit_code == 0


def test_a_folder_that_cannot_be_looked_into_is_not_passed_over(
    made: Fixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gateway-1").mkdir()
    real = os.scandir

    def scandir(path: str) -> object:
        if str(path).endswith("gateway-1"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    for command in (["verify"], ["show", "request-1"], ["export"], ["tail"]):
        done = run(*command, tmp_path)
        assert done.exit_code == 2, done.output
        assert "gateway-1 cannot be looked into: Permission denied" in words(done)


def test_a_segment_that_cannot_be_read_is_named(made: Fixture, tmp_path: Path) -> None:
    made.segments[-1].rename(tmp_path / "aside")
    loop = made.audit / "00000000000000000099.jsonl"
    loop.symlink_to(loop.name)
    for command in (["show", "request-1"], ["export"], ["tail"]):
        done = run(*command, tmp_path)
        assert done.exit_code == 2
        assert "00099.jsonl cannot be read: Too many levels of symbolic links" in words(done)
        assert "Traceback" not in done.output
    done = run("verify", tmp_path)
    assert done.exit_code == 1
    assert "unreadable: it cannot be read: Too many levels" in words(done)


def test_an_export_of_damaged_records_writes_what_stands_there_names_it_and_fails(
    made: Fixture, tmp_path: Path
) -> None:
    path = made.segments[0]
    path.write_bytes(path.read_bytes().replace(b"request-2", b"request-x", 1) + b"no record\n")
    place = next(n for n, text in enumerate(path.read_text().splitlines(), start=1) if "request-x" in text)
    done = run("export", tmp_path)
    assert done.exit_code == 1
    assert [json.loads(line) for line in done.stdout.splitlines()] == [
        json.loads(line) for p in made.segments for line in p.read_text().splitlines() if line != "no record"
    ]
    assert f"{path}:{place} (record {place}) is not what was written: exported as it stands" in words(done)
    assert f"{path}:{len(path.read_bytes().splitlines())} is no record: left out" in words(done)
    assert "damaged records: 1 not what was written, 1 line(s) no records" in words(done)
    assert "IS NOT what was written" in run("tail", "-n", "30", made.segments[0]).output


def test_an_export_of_others_than_the_damaged_ones_fails_too(made: Fixture, tmp_path: Path) -> None:
    """What was changed may be what they are chosen by: here an answer was moved into another namespace."""
    path = made.segments[0]
    path.write_bytes(path.read_bytes().replace(b'"support/bot"', b'"supporx/bot"', 1))
    done = run("export", "--target", "support", tmp_path)
    assert done.exit_code == 1
    assert len(done.stdout.splitlines()) == 19
    assert "is not what was written" in words(done)
    done = run("export", "--target", "nobody", tmp_path)
    assert (done.exit_code, done.stdout) == (1, "")


def test_opentelemetry_is_told_which_record_is_not_what_was_written(made: Fixture, tmp_path: Path) -> None:
    path = made.segments[0]
    path.write_bytes(path.read_bytes().replace(b"request-2", b"request-x", 1))
    done = run("export", "--format", "otlp", tmp_path)
    assert done.exit_code == 1
    found = [
        ({a["key"]: a["value"] for a in record["attributes"]}, record["severityText"])
        for line in done.stdout.splitlines()
        for record in json.loads(line)["resourceLogs"][0]["scopeLogs"][0]["logRecords"]
    ]
    bad = [(a["request.id"], severity) for a, severity in found if a["slm.record.intact"] != {"boolValue": True}]
    assert bad == [({"stringValue": "request-x"}, "ERROR")]


def exported(tmp_path: Path, *arguments: object) -> Path:
    """An export in a folder of its own."""
    (tmp_path / "elsewhere").mkdir(exist_ok=True)
    path = tmp_path / "elsewhere" / "chain.jsonl"
    path.write_bytes(run("export", *arguments).stdout_bytes)
    return path


def test_a_filtered_export_is_called_one_with_what_it_proves(tmp_path: Path) -> None:
    """Gaps are what an export that chooses looks like, and what one looks like from which somebody took records."""
    (tmp_path / "gateway-0").mkdir()
    made = Fixture(tmp_path / "gateway-0")
    for target in ("support/bot", "legal/bot", "support/bot"):
        made.answer(4, **{"slm.target": target})
        made.read()
    made.stop()
    path = exported(tmp_path, "--target", "support", tmp_path)
    done = run("verify", "--part", path)
    assert done.exit_code == 1, "nobody can prove from it that nothing is missing"
    assert f"{path}: a part with gaps, each record fits its own hash: records" in words(done)
    assert "8 of them answers" in words(done)
    assert "so it is where `slm audit export` was told to choose" in words(done)
    assert "proven: that 8 of its 8 records were written by who has the key below" in words(done), (
        "a commit's last one is signed"
    )
    assert "not proven: that none was left out the proof" in words(done), "and nothing else: all of them are signed"
    assert "FAULT" not in done.output
    (value,) = json.loads(run("verify", "--part", "-o", "json", path).output)
    assert value["part"] == {"records": 8, "proven": 8, "gaps": 1, "absent": 4}
    assert not value["intact"]


def test_records_that_stand_alone_are_not_proven(made: Fixture, tmp_path: Path) -> None:
    path = exported(tmp_path, tmp_path)
    text = path.read_bytes().splitlines(keepends=True)
    alone = [n for n, line in enumerate(text) if b'"commit"' not in line]
    path.write_bytes(b"".join(text[n] for n in alone[::2]))
    (value,) = json.loads(run("verify", "--part", "-o", "json", path).output)
    assert value["part"]["records"] == len(alone[::2])
    assert value["part"]["proven"] == 0
    assert f"that a gateway wrote the remaining {len(alone[::2])}: they fit the hash they give themselves" in words(
        run("verify", "--part", path)
    )
    assert "proven: of no record that a gateway wrote it" in words(run("verify", "--part", path))


def test_what_a_filter_leaves_out_is_no_reason_to_warn_as_of_the_whole(made: Fixture, tmp_path: Path) -> None:
    made.start()
    made.answer(1, **{"slm.policy": "f" * 64})
    made.read()
    made.stop()
    done = run("verify", "--part", exported(tmp_path, "--target", "support", tmp_path))
    assert "no record says what it is (it may stand in a record that is not here)" in words(done)
    assert "may stand" not in run("verify", made.audit).output


def test_what_was_changed_in_a_filtered_export_is_a_fault(made: Fixture, tmp_path: Path) -> None:
    path = exported(tmp_path, "--target", "support", tmp_path)
    text = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([text[0], text[5], text[9].replace(b"request-10", b"request-x0"), *text[15:]]))
    done = run("verify", "--part", path)
    assert done.exit_code == 1
    assert f"{path}: 1 FAULT(S) in a part with gaps" in words(done)
    assert "chain.jsonl:3: record" in words(done)


def test_a_part_without_gaps_is_intact_and_counts_what_is_proven(made: Fixture, tmp_path: Path) -> None:
    path = exported(tmp_path, tmp_path)
    done = run("verify", "--part", path)
    assert done.exit_code == 0
    assert f"{path} of gateway-0: intact: records 1 to" in words(done)
    (value,) = json.loads(run("verify", "--part", "-o", "json", path).output)
    assert value["part"] == {"records": len(made.records), "proven": len(made.records), "gaps": 0, "absent": 0}
    text = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(text[:3]))
    (value,) = json.loads(run("verify", "--part", "--key", "00" * 32, "-o", "json", path).output)
    assert value["part"]["proven"] == 0, "not with a key nobody knows"


def test_two_gateways_in_one_file_are_not_called_forged_without_a_word(made: Fixture, tmp_path: Path) -> None:
    (tmp_path / "gateway-1").mkdir()
    other = Fixture(tmp_path / "gateway-1")
    other.answer(2)
    other.read()
    other.stop()
    done = run("verify", "--part", exported(tmp_path, tmp_path))
    assert done.exit_code == 1
    assert "numbers that begin anew may be another gateway's: export each gateway's records" in words(done)


def test_records_of_another_shape_do_not_end_a_check(made: Fixture, tmp_path: Path) -> None:
    """Somebody with a key of his own can sign anything."""
    made.start()
    for body in (
        {"kind": "checkpoint", "requests": 7},
        {"kind": "checkpoint", "requests": [1, {"since": None}]},
        {"kind": "note", "event": "boundary", "namespaces": [1], "cut": "x", "reason": 5, "inference": "Stopped"},
        {"kind": "note", "event": "segments-removed", "through": "x"},
        {"kind": "note", "event": "agent-began", "lost_after": "x", "lost_up_to": []},
        {"kind": "in-force", "slm.target": 5, "slm.policy": [], "policy": 3},
        {"kind": "note", "event": ["x"], "time": 5},
        {"kind": "answer", "request.id": 8, "slm.policy": 9},
    ):
        made.recorder.add(body)
        made.recorder.commit()
    made.stop()
    for command in (["verify"], ["show", "8"], ["export", "--format", "otlp"], ["tail", "-n", "99"]):
        done = run(*command, tmp_path)
        assert done.exit_code == 0, done.output


def test_several_keys(made: Fixture, tmp_path: Path) -> None:
    assert run("verify", "--key", "00" * 32, "--key", SIGNER.public, tmp_path).exit_code == 0


@pytest.mark.parametrize("text", ["no", "{}", "[1]", '[{"gateway": 1}]', "[" * 100_000])
def test_what_was_not_noted(made: Fixture, tmp_path: Path, text: str) -> None:
    (tmp_path / "noted").write_text(text)
    done = run("verify", "--noted", tmp_path / "noted", tmp_path)
    assert done.exit_code == 2
    assert "is not what `slm audit verify -o json` prints" in words(done)
    assert "cannot be read: No such file" in words(run("verify", "--noted", tmp_path / "gone", tmp_path))


def test_a_chain_that_goes_on_while_it_is_copied_is_intact(made: Fixture, tmp_path: Path) -> None:
    """The head first, as the how-to has it: more may come before the rest is copied."""
    head = (made.audit / "head.json").read_bytes()
    made.start()
    for _ in range(30):
        made.answer(3)
        made.read()
    made.stop()
    (made.audit / "head.json").write_bytes(head)
    done = run("verify", tmp_path)
    assert done.exit_code == 0, done.output
    assert "record(s) after the signed head" in done.output


def test_segments_that_come_and_go_while_it_is_checked(
    made: Fixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is listed before the head is read may be rotated, or removed, by then."""
    (chain,) = chains([str(tmp_path)])
    made.start()
    for _ in range(10):
        made.answer(8)
        made.read()
    made.recorder.retain(8000, BEGAN)
    made.stop()
    assert not chain.segments[0].exists()
    report = check(chain)
    assert (report.faults, report.last) == ([], made.recorder.seq)
