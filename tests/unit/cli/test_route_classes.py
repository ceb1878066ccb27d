"""`slm route evaluate` of classes of tasks, as a user types it."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.unit.routing import departments
from typer.testing import CliRunner

from smallmodel_operator.cli.app import app
from smallmodel_operator.routing.choice.examples import to_learn


def slm(*arguments: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, ["route", *arguments], env={"COLUMNS": "200"})
    return done.exit_code, done.stdout, done.stderr


def lines(path: Path, rows: list[tuple[str, str]]) -> str:
    path.write_text("".join(json.dumps({"prompt": prompt, "class": name}) + "\n" for prompt, name in rows))
    return str(path)


def some(*names: str) -> list[tuple[str, str]]:
    return [row for row in departments.prompts(60, 1) if row[1] in names]


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> str:
    return lines(tmp_path_factory.mktemp("classes") / "d.jsonl", some("legal", "tax", "travel"))


def found(*arguments: str) -> dict[str, Any]:
    code, out, err = slm("evaluate", "--dataset", *arguments)
    assert code == 0, err
    value: dict[str, Any] = json.loads(out)
    return value


def test_half_is_learned_and_the_other_half_named(labelled: str) -> None:
    said = found(labelled, "--json")
    assert list(said) == [
        "threshold", "n", "nearest", "right", "undecided", "wrong", "strangers", "strangers_undecided", "classes",
        "microseconds_per_decision",
    ]  # fmt: skip
    odd = [row for row in some("legal", "tax", "travel") if not to_learn(row[0])]
    assert said["n"] == len(odd) == sum(one["n"] for one in said["classes"])
    assert said["right"] + said["undecided"] + said["wrong"] == pytest.approx(1, abs=2e-4)
    assert said["nearest"] >= said["right"] > 0.8
    assert (said["strangers"], said["strangers_undecided"]) == (0, None)
    assert [one["class"] for one in said["classes"]] == ["legal", "tax", "travel"]


def test_a_threshold_makes_it_undecided_and_never_wrong(labelled: str) -> None:
    sure, loose = found(labelled, "--threshold", "1"), found(labelled, "--threshold", "0")
    assert (sure["undecided"], sure["wrong"], sure["threshold"]) == (1, 0, 1)
    assert (loose["undecided"], loose["right"]) == (0, loose["nearest"])


def test_prompts_of_classes_it_never_saw_should_get_none(labelled: str, tmp_path: Path) -> None:
    target = str(tmp_path / "c.json")
    assert slm("train", "--dataset", labelled, "--rows", "even", "--output", target)[0] == 0
    mixed = lines(tmp_path / "m.jsonl", some("legal", "press"))
    said = found(mixed, "--classifier", target)
    press = next(one for one in said["classes"] if one["class"] == "press")
    assert said["strangers"] == press["n"] > 0 == press["right"]
    assert said["strangers_undecided"] == round(press["undecided"] / press["n"], 4)
    assert press["undecided"] + sum(press["wrong_as"].values()) == press["n"]
    assert set(press["wrong_as"]) <= {"legal", "tax", "travel"}
    assert said["n"] == next(one["n"] for one in said["classes"] if one["class"] == "legal")
    assert found(labelled, "--classifier", target)["right"] == found(labelled)["right"]


def test_rows_it_has_likely_learned_from_are_no_test_of_it(labelled: str, tmp_path: Path) -> None:
    all_rows, half = str(tmp_path / "all.json"), str(tmp_path / "half.json")
    assert slm("train", "--dataset", labelled, "--output", all_rows)[0] == 0
    assert slm("train", "--dataset", labelled, "--rows", "even", "--output", half)[0] == 0
    _, _, said = slm("evaluate", "--dataset", labelled, "--classifier", all_rows)
    assert "the figures are better than the truth" in said
    assert "--rows even" in said
    assert slm("evaluate", "--dataset", labelled, "--classifier", half)[2] == ""


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--strong", "a"), "name both --strong and --weak, or neither"),
        (("--strong", "a", "--weak", "b", "--threshold", "0.5"), "--threshold is for classes of tasks"),
        (("--classifier", "{none}"), "cannot be read"),
        (("--classifier", "{escalation}"), "says when to escalate: name --strong and --weak"),
        (("--dataset", "{none}"), "name the examples with --dataset"),
        (("--dataset", "{few}"), "`slm route train --rows all` takes all."),
        (("--dataset", "{even}"), "there is none to test with"),
        (("--dataset", "{two}"), "`class` must be the name of a class"),
    ],
)
def test_what_is_wrong_is_said_and_2(labelled: str, tmp_path: Path, arguments: tuple[str, ...], reason: str) -> None:
    rows = some("legal", "tax")
    both = tmp_path / "both.jsonl"
    both.write_text(
        "".join(json.dumps({"prompt": f"p {n}", "a": n % 3 > 0, "b": n % 2 > 0}) + "\n" for n in range(200))
    )
    names = {"none": str(tmp_path / "none"), "escalation": str(tmp_path / "e.json"), "two": str(both)}
    if "{escalation}" in arguments:
        learn = ("--format", "jsonl", "--strong", "a", "--weak", "b", "--output", names["escalation"])
        assert slm("train", "--dataset", str(both), *learn)[0] == 0
    names["few"] = lines(tmp_path / "few.jsonl", rows[:3])
    names["even"] = lines(tmp_path / "even.jsonl", [row for row in rows if to_learn(row[0])])
    given = arguments if "--dataset" in arguments else ("--dataset", labelled, *arguments)
    code, _, err = slm("evaluate", *(a.format(**names) for a in given))
    assert code == 2
    assert reason in err.replace("\n", " ")
