"""`slm boundary report`, as people run it."""

import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hack.cluster.paths import REPOSITORY
from tests.fakes.chain import SIGNER, Fixture
from typer.testing import CliRunner, Result

from smallmodel_operator.boundary.controls import CONTROLS
from smallmodel_operator.cli import boundary_report
from smallmodel_operator.cli.app import app


@pytest.fixture
def records(tmp_path: Path) -> Path:
    """Two gateways' records."""
    for name, number in (("gateway-0", 30), ("gateway-1", 12)):
        (tmp_path / "records" / name).mkdir(parents=True)
        made = Fixture(tmp_path / "records" / name)
        made.answer(number, **{"slm.upstream.address": "10.244.0.7:8080", "slm.caller": "sa:crm/app"})
        made.read()
        made.recorder.checkpoint(
            [{"since": made.life, "finished": number, "recorded": number, "missing": 0, "surplus": 0}]
        )
        made.stop()
    return tmp_path / "records"


@pytest.fixture
def pem(tmp_path: Path) -> Path:
    path = tmp_path / "officer.pem"
    path.write_bytes(Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return path


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports are made after the time of the records."""

    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> "Clock":
            return cls(2026, 12, 1, 8, tzinfo=UTC)

    monkeypatch.setattr(boundary_report, "datetime", Clock)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["boundary", *map(str, arguments)])


def words(done: Result) -> str:
    """What it said, however wide the terminal is."""
    return " ".join(done.output.split())


def test_a_month_of_two_gateways(records: Path) -> None:
    done = run("report", "--period", "2026-11", "--inside", "10.244.0.0/16", "--key", SIGNER.public, records)
    assert done.exit_code == 0, done.output
    for text in ("Nothing left the cluster", "42 requests", "left the cluster: 0 requests, 0 bytes", "sa:crm/app",
                  "gateway-0: intact", "gateway-1: intact", "0 missing"):  # fmt: skip
        assert text in words(done)
    assert "This is what gateway-0, gateway-1 recorded" in words(done)


@pytest.mark.parametrize(
    ("period", "said"),
    [("2026-10", "there are no records of this time, the first is of 2026-11-"), ("2999", "this time has not begun")],
)
def test_a_time_without_any_record_is_not_in_order(records: Path, period: str, said: str) -> None:
    done = run("report", "--period", period, "--inside", "10.244.0.0/16", records)
    assert done.exit_code == 1
    assert said in words(done)
    assert "Nothing left" not in words(done)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--key", "officer.pem"], "--key 'officer.pem' is no public key: 64 hexadecimal digits"),
        (["--inside", "10.244.0.0"], "--inside '10.244.0.0' is no network: give one like 10.244.0.0/16"),
    ],
)
def test_what_is_given_wrongly_is_named(records: Path, arguments: list[str], said: str) -> None:
    done = run("report", "--period", "2026-11", *arguments, records)
    assert done.exit_code == 2
    assert said in words(done)


def test_a_table_is_not_signed(records: Path, tmp_path: Path) -> None:
    pem = tmp_path / "report-key.pem"
    pem.write_bytes(Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    done = run("report", "--period", "2026-11", "--sign-with", pem, records)
    assert done.exit_code == 2
    assert "--sign-with signs what is written to a file: add -o json or -o html" in words(done)


def test_a_page_is_no_report_to_check(tmp_path: Path) -> None:
    page = tmp_path / "november.html"
    page.write_text("<!doctype html>")
    done = run("check-report", page)
    assert done.exit_code == 2
    assert "november.html is no report in JSON" in words(done).replace("- ", "-")


def enforcement(status: str, since: str, until: str = "", **more: Any) -> dict[str, Any]:
    value = {"status": status, "reason": "R", "message": "words", "through": [], "since": f"2026-11-21T{since}Z"}
    return {**value, **({"until": f"2026-11-21T{until}Z"} if until else {}), **more}


def seen(records: Path, gateway: str, *findings: dict[str, Any]) -> None:
    """A gateway records what the canary found, after that day."""
    made = Fixture(records / gateway)
    made.written = 13 * 3600_000
    for said in findings:
        made.recorder.note("enforcement", **said)
    made.recorder.checkpoint([])
    made.stop()


LEAK = "a stranger reached a model's pod on TCP 8080"
PROVEN = enforcement("True", "00:00:00", "11:00:00")
OPEN = enforcement("False", "12:00:00", "12:00:00", through=[LEAK])
CLOSED = enforcement("True", "15:00:00", "22:00:00", before={"status": "False", "until": "2026-11-21T14:00:00Z"})


def test_what_the_canary_found_and_when_nobody_looked(records: Path, later: None) -> None:
    seen(records, "gateway-0", PROVEN, OPEN, CLOSED)
    done = run("report", "--period", "2026-11-21", records)
    assert done.exit_code == 1, "something got through"
    for text in (
        "for 12.5 % of the time the network let through what policies forbid",
        "policies enforced by the network: proven 75.0 %, not enforced 12.5 %, unknown 12.5 %",
        "recorded by gateway-0: proven 75.0 %",
        f"2026-11-21T12:00:00Z to 2026-11-21T15:00:00Z: NOT ENFORCED: {LEAK}",
        "2026-11-21T11:00:00Z to 2026-11-21T12:00:00Z: unknown: No record of this time says",
        "recorded by gateway-1: proven 0.0 %, not enforced 0.0 %, unknown 100.0 %",
    ):
        assert text in words(done)
    value = json.loads(run("report", "--period", "2026-11-21", "-o", "json", records).output)
    assert value["enforcement"] == {
        "whole": 86400, "proven": 18 * 3600, "not_proven": 3 * 3600, "unknown": 3 * 3600, "open": 1,
    }  # fmt: skip
    [first, _] = value["gateways"]
    assert [row["status"] for row in first["enforcement"]["findings"]] == [
        "True", "Unknown", "False", "True", "Unknown",
    ]  # fmt: skip
    assert not [event for event in value["events"] if event["event"] == "enforcement"], "not listed twice"
    page = run("report", "--period", "2026-11-21", "-o", "html", records).output
    for text in (
        "Did the network enforce policies?",
        "NOT enforced",
        LEAK.replace("'", "&#x27;"),
        'class="verdict bad"',
    ):
        assert text in page


def test_a_time_nobody_looked_at_is_never_good(records: Path, later: None) -> None:
    for name in ("gateway-0", "gateway-1"):
        seen(records, name, PROVEN)
    done = run("report", "--period", "2026-11-21", records)
    assert done.exit_code == 0
    assert "Whether the network enforced policies is not known for 54.2 % of the time." in words(done)
    assert 'class="verdict open"' in run("report", "--period", "2026-11-21", "-o", "html", records).output
    whole = enforcement("True", "00:00:00", "23:59:59", before={"status": "True", "until": "2026-11-21T11:00:00Z"})
    seen(records, "gateway-1", whole)
    done = run("report", "--period", "2026-11-21", records)
    assert "proven 99.9 %, not enforced 0.0 %, unknown 0.1 %" in words(done), "a second is not rounded away"


def test_a_time_that_was_proven_is_good(records: Path, later: None) -> None:
    at = {"since": "2026-11-01T00:00:00Z", "before": {"status": "True", "until": "2026-11-21T20:00:00Z"}}
    seen(records, "gateway-0", {**enforcement("True", "00:00:00", "22:00:00"), **at})
    done = run("report", "--period", "2026-11-20", "-o", "html", "--inside", "10.244.0.0/16", records)
    assert done.exit_code == 0
    assert 'class="verdict good"' in done.output
    assert "not known" not in done.output


@pytest.mark.parametrize("change", ["edited", "removed"])
def test_a_finding_that_is_edited_or_removed_is_a_fault_and_proves_nothing(
    records: Path, later: None, change: str
) -> None:
    """Whoever would like the hole never to have been."""
    seen(records, "gateway-0", PROVEN, OPEN, CLOSED)
    [path] = [p for p in records.rglob("*.jsonl") if LEAK.encode() in p.read_bytes()]
    lines = path.read_bytes().splitlines(keepends=True)
    [number] = [n for n, line in enumerate(lines) if LEAK.encode() in line]
    if change == "edited":
        lines[number] = lines[number].replace(b'"False"', b'"True"')
    else:
        del lines[number]
    path.write_bytes(b"".join(lines))
    seq = number + int(path.stem)
    done = CliRunner().invoke(app, ["audit", "verify", str(records / "gateway-0")])
    assert done.exit_code == 1
    assert f"record {seq}: {'edited' if change == 'edited' else 'missing'}" in words(done)
    done = run("report", "--period", "2026-11-21", "-o", "json", records)
    assert done.exit_code == 1
    value = json.loads(done.output)
    assert not value["intact"]
    assert value["enforcement"]["proven"] == 18 * 3600
    assert value["enforcement"]["unknown"] == 6 * 3600, "what the record said is not known any more"


def test_audit_verify_says_what_the_canary_found(records: Path) -> None:
    seen(records, "gateway-0", OPEN, enforcement("Unknown", "16:00:00", reason="ProbeStale"))
    done = CliRunner().invoke(app, ["audit", "verify", str(records / "gateway-0")])
    assert done.exit_code == 0, done.output
    assert f"policies NOT enforced from 2026-11-21T12:00:00Z on, seen until 2026-11-21T12:00:00Z: {LEAK}" in words(done)
    assert "whether policies are enforced is unknown from 2026-11-21T16:00:00Z on: ProbeStale: words" in words(done)


def test_what_left_is_an_exit_code(records: Path) -> None:
    done = run("report", "--period", "2026-11", "--inside", "10.96.0.0/16", records)
    assert done.exit_code == 1
    assert "10.244.0.7:8080: 42 requests" in done.output


def test_a_changed_record_is_an_exit_code_and_on_the_page(records: Path) -> None:
    path = min(records.rglob("*.jsonl"))
    path.write_bytes(path.read_bytes().replace(b"request-2", b"request-x", 1))
    done = run("report", "--period", "2026-11", "-o", "html", records)
    assert done.exit_code == 1
    assert "records were changed or are gone" in done.output
    assert "edited" in done.output


def test_a_strange_key_is_a_fault(records: Path) -> None:
    done = run("report", "--period", "2026-11", "--key", "00" * 32, records)
    assert done.exit_code == 1
    assert "which --key does not name" in words(done)


def test_signed_and_checked(records: Path, pem: Path, tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    file.write_text(run("report", "--period", "2026-11", "-o", "json", "--sign-with", pem, records).output)
    done = run("check-report", file)
    assert done.exit_code == 0
    assert "whose key" in done.output
    key = json.loads(file.read_text())["key"]
    assert run("check-report", "--key", key, file).exit_code == 0
    assert run("check-report", "--key", "00" * 32, file).exit_code == 1
    file.write_text(file.read_text().replace('"requests": 0', '"requests": 1', 1))
    done = run("check-report", file)
    assert done.exit_code == 1
    assert "IS NOT what was signed" in words(done)


def test_the_page_says_who_signed(records: Path, pem: Path) -> None:
    assert "is signed with key" in run("report", "--period", "2026", "-o", "html", "--sign-with", pem, records).output
    assert "not signed" in run("report", "--period", "2026", "-o", "html", records).output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--period", "november"], "--period 'november' is no time"),
        (["--period", "2026-11", "--inside", "10.0.0.1/8"], "10.0.0.1/8' is no network: 10.0.0.1/8 has host bits"),
        (["--period", "2026-11", "--sign-with", "/nowhere/key.pem"], "/nowhere/key.pem cannot be used: No such file"),
    ],
)
def test_bad_options(records: Path, arguments: list[str], said: str) -> None:
    done = run("report", *arguments, records)
    assert done.exit_code == 2
    assert said in words(done)


def test_a_key_of_another_kind_and_no_report(records: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.pem"
    other.write_bytes(X25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    done = run("report", "--period", "2026", "--sign-with", other, records)
    assert (done.exit_code, "openssl genpkey" in words(done)) == (2, True)
    for text in ("", "[]", "{}", "[" * 100_000):
        other.write_text(text)
        assert run("check-report", other).exit_code == 2
    gone = run("check-report", tmp_path / "gone")
    assert (gone.exit_code, words(gone)) == (2, f"{tmp_path}/gone cannot be used: No such file or directory")
    other.write_text(run("report", "--period", "2026-11", "-o", "json", records).output)
    done = run("check-report", other)
    assert (done.exit_code, "not signed" in words(done)) == (1, True)


def test_the_commands_of_the_page(records: Path, tmp_path: Path) -> None:
    page = (REPOSITORY / "docs/how-to/report-the-boundary.md").read_text()
    commands = "\n".join(re.findall(r"^```sh\n(.*?)^```", page, re.M | re.S))
    assert "check-report" in commands
    program = tmp_path / "slm"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m smallmodel_operator.cli.app "$@"\n')
    program.chmod(0o755)
    env = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands], cwd=tmp_path, env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "november.json is as it was signed" in done.stdout
    text = (tmp_path / "november.html").read_text()
    assert "Nothing left the cluster" in text
    assert all(control.test in text for control in CONTROLS)


def test_what_left_through_the_egress_is_joined(tmp_path: Path) -> None:
    """Two requests were decided to leave; the egress has sent those and one that nobody has decided on."""
    folder = tmp_path / "records" / "gateway-0"
    folder.mkdir(parents=True)
    made = Fixture(folder)
    decision = {"slm.route": "support/desk", "slm.decision.target": "cloud", "slm.decision.policy": "sha256:1",
                "slm.decision.boundary": "MayLeave"}  # fmt: skip
    for id_ in ("one", "two"):
        made.recorder.add({"kind": "decision", "request.id": id_, **decision})
        made.recorder.add({"kind": "answer", "request.id": id_, "slm.left": "support/desk/cloud",
                           "http.response.status_code": 200, "slm.upstream.address": "10.244.0.9:8443"})  # fmt: skip
    made.recorder.checkpoint([{"since": made.life, "finished": 2, "recorded": 2, "missing": 0, "surplus": 0}])
    made.stop()
    day = made.records[-1]["time"][:10]
    log = tmp_path / "egress.log"

    def logged(*ids: str) -> None:
        lines = [
            {"time": f"{day}T12:00:00.000Z", "request.id": id_, "slm.target": "support/desk/cloud", "status": 200,
             "slm.decision.policy": "sha256:1", "bytes.out": 700, "server.address": "203.0.113.7:443"}
            for id_ in ids
        ]  # fmt: skip
        log.write_text("".join(f"{json.dumps(line)}\n" for line in lines) + "[warning] not a line\n")

    asked = ("report", "--period", day, "--inside", "10.244.0.0/16", "--egress", log, tmp_path / "records")
    logged("one", "two")
    done = run(*asked)
    assert done.exit_code == 0, done.output
    for text in ("2 request(s) left the cluster through the egress, each by a recorded decision, and its log agrees",
                 "its log has 2 that went to a host, and 0 refused", "unmatched: 0",
                 "support/desk/cloud: 2 requests"):  # fmt: skip
        assert text in words(done)
    logged("one", "two", "three")
    done = run(*asked)
    assert done.exit_code == 1
    assert "1 request(s) that left do not match: of three to support/desk/cloud, no decision lets this" in words(done)
    page = run(*asked, "-o", "html").output
    assert "What left through the egress" in page
    assert "no decision lets this request leave to there" in page
    assert run(*asked[:-3], tmp_path / "records").exit_code == 0, "without the log nobody can know"
    missing = run(*asked[:-2], tmp_path / "nothing.log", tmp_path / "records")
    assert missing.exit_code == 2
    assert "nothing.log" in words(missing)
