"""`slm route confidence` as a user types it, on files of its own."""

import json
import math
import random
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from smallmodel_operator.cli.app import app


def slm(*arguments: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, ["route", "confidence", *arguments], env={"COLUMNS": "200"})
    return done.exit_code, done.stdout, done.stderr


def row(number: int, right: bool, least: float) -> dict[str, Any]:
    tokens = [{"token": "a", "logprob": math.log(p)} for p in (0.99, least, 0.99)]
    response = {"choices": [{"message": {"content": "a"}, "logprobs": {"content": tokens}}]}
    return {"prompt": f"question {number}", "small": right, "large": number % 20 != 0, "response": response}


def rows(number: int = 400) -> list[dict[str, Any]]:
    """Where the small model doubts a token it is right by half, and sure of most."""
    lots = random.Random(7)
    found = []
    for n in range(number):
        doubts = lots.random() < 0.2
        found.append(
            row(
                n, lots.random() < (0.4 if doubts else 0.95), lots.uniform(0.2, 0.5) if doubts else lots.uniform(0.7, 1)
            )
        )
    return found


def written(path: Path, listed: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(one) + "\n" for one in listed))
    return str(path)


def test_it_says_how_far_confidence_tells_right_from_wrong(tmp_path: Path) -> None:
    code, out, _ = slm("--dataset", written(tmp_path / "a.jsonl", rows()), "--weak", "small", "--strong", "large")
    found = json.loads(out)
    assert (code, list(found)) == (0, ["n", "weak_accuracy", "strong_accuracy", "measures"])
    assert list(found["measures"]) == ["mean", "least", "whole"]
    least = found["measures"]["least"]
    assert 0.6 < least["ranking"] < 0.95
    assert least["error_as_learned"] < least["error_as_said"]
    assert [step["right"] for step in least["steps"]] == sorted(step["right"] for step in least["steps"])
    assert sum(step["answers"] for step in least["steps"]) == 400 - found["n"]
    tenth, fifth = least["below"]
    assert (tenth["wanted_share"], fifth["wanted_share"]) == (0.1, 0.2)
    assert tenth["limit"] < fifth["limit"]
    assert fifth["share"] == pytest.approx(0.2, abs=0.08)
    assert fifth["right_above"] > 0.9 > 0.6 > fifth["right_below"]
    assert least["pgr_at_20"] > 0.5


def test_without_a_strong_model_nothing_is_said_of_one(tmp_path: Path) -> None:
    listed = [{"prompt": r["prompt"], "small": r["small"], "confidence": n % 7 / 7} for n, r in enumerate(rows())]
    code, out, _ = slm("--dataset", written(tmp_path / "a.jsonl", listed), "--weak", "small")
    found = json.loads(out)
    assert (code, list(found), list(found["measures"])) == (0, ["n", "weak_accuracy", "measures"], ["confidence"])
    assert not any("pgr" in key for key in found["measures"]["confidence"])


@pytest.mark.parametrize(
    ("listed", "arguments", "reason"),
    [
        (rows(), ("--weak", "tiny"), "line 1: no column 'tiny'"),
        (rows(), ("--weak", "small", "--strong", "huge"), "line 1: no column 'huge'"),
        (rows(), ("--weak", "large", "--strong", "small"), "which is which"),
        (rows(30), ("--weak", "small"), "at least 20 of each are needed"),
        ([{**r, "small": True} for r in rows()], ("--weak", "small"), "both right and wrong ones are needed"),
        ([*rows(), {"prompt": "p", "small": True}], ("--weak", "small"), "line 401: `response` has no token"),
        (
            [*rows(), {"prompt": "p", "small": True, "confidence": 1}],
            ("--weak", "small"),
            "line 401: give `confidence`",
        ),
        ([], ("--weak", "small"), "0 answers to learn from"),
    ],
)
def test_what_is_wrong_is_said_and_2(
    tmp_path: Path, listed: list[dict[str, Any]], arguments: tuple[str, ...], reason: str
) -> None:
    code, out, err = slm("--dataset", written(tmp_path / "a.jsonl", listed), *arguments)
    assert (code, out) == (2, "")
    assert reason in err.replace("\n", " ")
