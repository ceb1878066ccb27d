"""`slm route ...` as a user types it, on files of their own."""

import csv
import json
import random
from pathlib import Path

import pytest
from tests.unit.routing import departments
from typer.testing import CliRunner

from smallmodel_operator.cli.app import app

KEYS = [
    "n", "strong_accuracy", "weak_accuracy", "apgr", "pgr_at_10", "pgr_at_20", "random_pgr_at_20", "oracle_pgr_at_20",
    "microseconds_per_decision", "calibration_error",
]  # fmt: skip
MODELS = ("--strong", "org/big-1", "--weak", "org/small-1")


def slm(*arguments: str, stdin: str = "") -> tuple[int, str, str]:
    done = CliRunner().invoke(app, ["route", *arguments], input=stdin, env={"COLUMNS": "200"})
    return done.exit_code, done.stdout, done.stderr


def answers(folder: Path, number: int = 600) -> Path:
    """CSV like RouteLLM's: the small model errs in proofs."""
    lots = random.Random(5)
    for part in ("x", "y"):
        with (folder / f"mmlu_{part}.csv").open("w", newline="", encoding="utf-8") as file:
            out = csv.writer(file)
            out.writerow(["prompt", "org/small-1", "org/big-1"])
            for n in range(number // 2):
                hard = lots.random() < 0.3
                text = f"{'Prove, at length' if hard else 'Say'}: {part} {n}\nA. 1\nB. 2"
                out.writerow([text, lots.random() < (0.2 if hard else 0.9), lots.random() < 0.92])
    return folder


def labelled(path: Path) -> Path:
    rows = departments.prompts(10, 1)
    path.write_text("".join(json.dumps({"prompt": p, "class": c}) + "\n" for p, c in rows if c in ("legal", "tax")))
    return path


def test_evaluate_prints_one_object(tmp_path: Path) -> None:
    code, out, _ = slm("evaluate", "--dataset", str(answers(tmp_path)), "--format", "routellm", *MODELS, "--json")
    found = json.loads(out)
    assert (code, list(found)) == (0, KEYS)
    assert found["n"] == pytest.approx(300, abs=60)
    assert found["pgr_at_20"] > 0.4 > 0.3 > found["random_pgr_at_20"]
    assert found["oracle_pgr_at_20"] > found["pgr_at_20"]
    assert 0 < found["microseconds_per_decision"] < 5000


def test_what_was_trained_evaluates_as_if_trained_then(tmp_path: Path) -> None:
    folder, target = str(answers(tmp_path)), str(tmp_path / "classifier.json")
    code, out, _ = slm("train", "--dataset", folder, "--format", "routellm", *MODELS, "--output", target, "-o", "json")
    said = json.loads(out)
    assert (code, said["kind"], said["file"]) == (0, "Escalation", target)
    assert said["digest"] == json.loads(Path(target).read_text())["digest"]
    apart = json.loads(slm("evaluate", "--dataset", folder, *MODELS, "--json", "--classifier", target)[1])
    both = json.loads(slm("evaluate", "--dataset", folder, *MODELS, "--json")[1])
    assert apart["pgr_at_20"] == pytest.approx(both["pgr_at_20"], abs=0.02)
    assert apart["n"] == both["n"]


def test_classes_are_learned_from_json_lines(tmp_path: Path) -> None:
    target = str(tmp_path / "c.json")
    assert slm("train", "--dataset", str(labelled(tmp_path / "d.jsonl")), "--output", target)[0] == 0
    code, out, _ = slm("classify", "--classifier", target, "--text", "the vat return of a fiscal unity", "--explain")
    assert (code, out.splitlines()[0].split()[0]) == (0, "tax")
    assert any("vat" in line or "fiscal" in line for line in out.splitlines()[1:])
    lines = '{"prompt": "a liability cap in a contract clause"}\n\n{"prompt": "a joke on penguins"}\n'
    code, out, _ = slm("classify", "--classifier", target, "-o", "json", stdin=lines)
    assert (code, [json.loads(line)["class"] for line in out.splitlines()]) == (0, ["legal", None])


def test_prompts_may_begin_with_a_mark_and_have_to_be_there(tmp_path: Path) -> None:
    target, prompts = str(tmp_path / "c.json"), tmp_path / "p.jsonl"
    slm("train", "--dataset", str(labelled(tmp_path / "d.jsonl")), "--output", target)
    for content, expected, reason in (
        (b'\xef\xbb\xbf{"prompt": "a joke on penguins"}\n', 0, ""),
        (b"\n", 2, "there is no prompt"),
        (b'{"prompt": "\xff"}\n', 2, "p.jsonl is not UTF-8"),
    ):
        prompts.write_bytes(content)
        code, _, err = slm("classify", "--classifier", target, str(prompts))
        assert (code, reason in err.replace("\n", " ")) == (expected, True), err


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("evaluate", "--dataset", "{none}", *MODELS), "no folder with files *.csv"),
        (("evaluate", "--dataset", "{data}", "--strong", "big", "--weak", "org/small-1"), "no column 'big'"),
        (
            ("evaluate", "--dataset", "{data}", "--strong", "org/small-1", "--weak", "org/big-1"),
            "which model is called strong",
        ),
        (("evaluate", "--dataset", "{data}", *MODELS, "--classifier", "{data}/mmlu_x.csv"), "not JSON"),
        (("evaluate", "--dataset", "{bad}", "--format", "jsonl", *MODELS), "line 2 is not JSON"),
        (("train", "--dataset", "{bad}", "--output", "{none}/c"), "`prompt` must be a text"),
        (("train", "--dataset", "{data}", "--format", "routellm", "--output", "x"), "name both --strong and --weak"),
        (
            ("train", "--dataset", "{data}", "--format", "routellm", *MODELS, "--output", "{none}/c"),
            "cannot be written",
        ),
        (("classify", "--classifier", "{none}", "--text", "x"), "cannot be read"),
        (("evaluate", "--dataset", "{lines}", *MODELS), "lines.jsonl looks like JSON lines: add --format jsonl."),
        (("evaluate", "--dataset", "{folder}", *MODELS), "looks like JSON lines: add --format jsonl."),
        (("train", "--dataset", "{lines}", "--output", "x"), "lines.jsonl: 2 examples of 1 class(es)"),
        (
            ("train", "--dataset", "{lines}", "--rows", "even", "--output", "x"),
            "`slm route train --rows all` takes all.",
        ),
    ],
)
def test_what_is_wrong_is_said_and_2(tmp_path: Path, arguments: tuple[str, ...], reason: str) -> None:
    data = tmp_path / "data"
    data.mkdir()
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"prompt": "", "class": "x", "org/big-1": true, "org/small-1": true}\nnot json\n')
    if reason.startswith("line 2"):
        bad.write_text('{"prompt": "p", "org/big-1": true, "org/small-1": true}\nnot json\n')
    lines = tmp_path / "folder" / "lines.jsonl"
    lines.parent.mkdir()
    lines.write_text("".join(f'{{"prompt": "p{n}", "class": "x"}}\n' for n in (1, 3)))
    names = {"none": str(tmp_path / "none"), "lines": str(lines), "folder": str(lines.parent)}
    names |= {"data": str(answers(data, 60)), "bad": str(bad)}
    code, _, err = slm(*(a.format(**names) for a in arguments))
    assert code == 2
    assert reason in err.replace("\n", " ")
