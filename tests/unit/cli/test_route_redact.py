"""`slm route redact` as a user types it."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from smallmodel_operator.cli.app import app

BODY = '{"messages": [{"role": "user", "content": "Pay DE75512108001245126199, please."}]}'


def redact(*arguments: str, stdin: str = BODY) -> tuple[int, list[str], str]:
    done = CliRunner().invoke(app, ["route", "redact", *arguments], input=stdin, env={"COLUMNS": "200"})
    return done.exit_code, done.stdout.splitlines(), done.stderr


def test_what_is_found_is_its_kind() -> None:
    code, out, _ = redact("-")
    texts = {line["place"]: line["text"] for line in map(json.loads, out)}
    assert (code, texts) == (1, {"messages[0].role": "user", "messages[0].content": "Pay [Iban] please."})


def test_what_touches_it_goes_with_it() -> None:
    code, out, _ = redact("-", stdin='{"prompt": "Ask Ms.Doe(jo@example.com)now, or 4111111111111111."}')
    assert (code, json.loads(out[0])["text"]) == (1, "Ask [EmailAddress] or [CreditCard]")


def test_nothing_found_is_nothing_changed() -> None:
    code, out, _ = redact("-", stdin='{"prompt": "Grüße"}')
    assert (code, [json.loads(line) for line in out]) == (0, [{"place": "prompt", "text": "Grüße"}])


def test_a_policy_of_ones_own(tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text("detectors: []\npatterns: [{name: due, regex: 'please'}]\n")
    code, out, _ = redact("-", "--policy", str(policy))
    assert (code, json.loads(out[1])["text"]) == (1, "Pay DE75512108001245126199, [due]")


@pytest.mark.parametrize(
    ("policy", "body", "why"),
    [
        ("detectors: [Phi]", BODY, "Phi need a recognizer"),
        ("detectors: [Pi]", BODY, "unknown detector"),
        ("{}", '{"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}', "NotText"),
        ("{}", "secret words", "NotJson"),
    ],
)
def test_what_cannot_be_told_is_not_printed(tmp_path: Path, policy: str, body: str, why: str) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text(policy)
    code, out, err = redact("-", "--policy", str(file), stdin=body)
    assert (code, out, why in err, "secret words" in err) == (2, [], True, False)


def test_a_file_that_is_not_there() -> None:
    code, _, err = redact("nowhere.json")
    assert (code, "nowhere.json cannot be read" in err) == (2, True)
