"""`slm route check` as a user types it."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from smallmodel_operator.cli.app import app

CLEAN = '{"messages": [{"role": "user", "content": "Say hello."}]}'
IBAN = '{"messages": [{"role": "user", "content": "Pay DE89 3704 0044 0532 0130 00"}]}'


def check(*arguments: str, stdin: str = CLEAN) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, ["route", "check", *arguments], input=stdin, env={"COLUMNS": "200"})
    return done.exit_code, done.stdout, done.stderr


def test_a_clean_one_could_leave() -> None:
    code, out, _ = check("-", "--label", "public")
    assert (code, out.startswith("MayLeave, decided in ")) == (0, True)


def test_what_stays_says_why_and_where(tmp_path: Path) -> None:
    file = tmp_path / "request.json"
    file.write_text(IBAN)
    code, out, _ = check(str(file), "--label", "public", "-o", "json")
    found = json.loads(out)
    assert (code, found["verdict"], found["microseconds"] > 0) == (1, "Inside", True)
    where = ["messages[0].content"]
    assert {"reason": "Found", "detector": "Pii", "kind": "Iban", "places": where} in found["reasons"]
    assert "3704" not in out
    assert "Iban  messages[0].content" in check(str(file), "--label", "public")[1]


def test_labels_are_split_as_a_request_s_header(tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text("labels: [secret]\n")
    assert "Label  secret" in check("-", "--label", "public, secret", "--policy", str(policy))[1]


@pytest.mark.parametrize("label", ["", "a b", "public,", "-x", "x" * 64])
def test_what_is_no_label_is_2(label: str) -> None:
    code, out, err = check("-", "--label", label)
    assert (code, out) == (2, "")
    assert "is no label: give 1 to 63" in err


def test_without_a_label_it_stays() -> None:
    assert check("-")[:2][0] == 1
    assert "Unlabelled" in check("-")[1]


def test_a_policy_of_ones_own(tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text("denyTerms: [say hello]\npatterns: [{name: case, regex: 'CASE-\\d+'}]\nlabels: [secret]\n")
    code, out, _ = check("-", "--label", "secret", "--policy", str(policy))
    assert code == 1
    assert ("Label  secret" in out, "DenyTerm" in out) == (True, True)


@pytest.mark.parametrize(
    ("policy", "reason"),
    [
        ("[]", "must be an object"),
        ("unknown: 1", "a policy has no unknown"),
        ("a: 2026-99-99", "not YAML"),
        ("recognizers: []", "copy detectors, labels, patterns, denyTerms only"),
        ("detectors: Pii", "must be a list of texts"),
        ("detectors: [Pi]", "unknown detector"),
        ("patterns: [x]", "`name` and `regex`"),
        ("patterns: [{name: a, regex: '(?=b)'}]", "no look-around"),
        ("a: [", "not YAML"),
        ("detectors: [Pii]\ndetectors: []", "`detectors` stands twice"),
        ('{"labels": ["a"], "labels": []}', "`labels` stands twice"),
        ("a: 1\n---\nb: 1", "of one document"),
        ("denyTerms: ['']", "none of them empty"),
        ("patterns: [{name: all, regex: '(a|)'}]", "policy.yaml: pattern 'all' matches the empty text"),
    ],
)
def test_a_policy_that_is_none_is_2(tmp_path: Path, policy: str, reason: str) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text(policy)
    code, _, err = check("-", "--policy", str(file))
    assert (code, reason in err.replace("\n", " ")) == (2, True), err


def test_a_file_that_is_not_there_is_2(tmp_path: Path) -> None:
    assert check(str(tmp_path / "none"))[0] == 2
    assert check("-", "--policy", str(tmp_path / "none"))[0] == 2
