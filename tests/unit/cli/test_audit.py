"""`slm audit`, as people run it."""

import json
import re
from pathlib import Path

import pytest
from tests.fakes.chain import SIGNER, Fixture
from tests.gateway.states import model
from typer.testing import CliRunner, Result

from smallmodel_operator.cli import audit_tail
from smallmodel_operator.cli.app import app
from smallmodel_operator.cli.audit import Chain, chains, check
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
    assert run("export", "--target", "supp", tmp_path).output == ""


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
    assert run("export", "--target", "supp", "--format", "otlp", tmp_path).output == ""
    done = run("export", "--format", "xml", tmp_path)
    assert done.exit_code == 2
    assert "it is one of jsonl, otlp" in done.output


def test_tail(made: Fixture, tmp_path: Path) -> None:
    done = run("tail", "-n", "3", tmp_path)
    assert [line.split()[-1] for line in done.output.splitlines()] == ["request-19", "request-20", "request-21"]
    assert json.loads(run("tail", "-n", "1", "-o", "json", tmp_path).output)["request.id"] == "request-21"


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
