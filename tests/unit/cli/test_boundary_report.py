"""`slm boundary report`, as people run it."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hack.cluster.paths import REPOSITORY
from tests.fakes.chain import SIGNER, Fixture
from typer.testing import CliRunner, Result

from smallmodel_operator.boundary.controls import CONTROLS
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
    done = run("report", "--period", "2026-10", "--inside", "10.244.0.0/16", "-o", "json", records)
    assert (done.exit_code, json.loads(done.output)["total"]["requests"]) == (0, 0)


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
        (["--period", "november"], "is no time"),
        (["--period", "2026-11", "--inside", "10.0.0.1/8"], "host bits"),
        (["--period", "2026-11", "--sign-with", "/nowhere/key.pem"], "No such file"),
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
    assert run("check-report", tmp_path / "gone").exit_code == 2
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
