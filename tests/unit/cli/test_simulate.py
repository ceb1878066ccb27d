"""`slm simulate` as its users write it."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from smallmodel_operator.cli.app import app

PROFILE = """\
iterationBaseMilliseconds: 40
iterationPerSequenceMilliseconds: 8
prefillTokensPerSecond: 300
prefillSlowdown: "0.6"
slots: 8
startSeconds: 12
replicaHourlyPrice: "0.45"
minReplicas: 1
maxReplicas: 16
"""
KEYS = {"attainment_percent", "replica_hours", "actions", "reversals", "longest_breach_seconds", "cost"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rows = [f"2023-11-16 18:{i // 60:02}:{i % 60:02}.1234567,{100 + i % 90},{30 + i % 40}" for i in range(300)]
    (tmp_path / "trace.csv").write_text("\n".join(["TIMESTAMP,ContextTokens,GeneratedTokens", *rows]))
    (tmp_path / "profile.yaml").write_text(PROFILE)
    return tmp_path


def slm(folder: Path, policy: str = "objective", *more: str) -> tuple[int, str, str]:
    files = ["--trace", str(folder / "trace.csv"), "--profile", str(folder / "profile.yaml")]
    done = CliRunner().invoke(app, ["simulate", *files, "--policy", policy, "--ttft-p95-ms", "3000", *more])
    return done.exit_code, done.stdout, done.stderr


@pytest.mark.parametrize("policy", ["objective", "hpa-inflight:4", "hpa-queue:1", "knative:4.5", "kubeai:2", "fixed:3"])
def test_every_policy_gives_one_object(folder: Path, policy: str) -> None:
    code, out, _ = slm(folder, policy, "--json")
    assert code == 0
    assert len(out.splitlines()) == 1
    found = json.loads(out)
    assert set(found) >= KEYS
    assert all(isinstance(found[k], int | float) for k in KEYS)
    assert found["cost"] == pytest.approx(found["replica_hours"] * 0.45, abs=1e-3)


def test_nothing_but_the_object_is_printed_where_there_is_no_terminal(folder: Path) -> None:
    code, out, err = slm(folder, "objective", "--json")
    assert (code, len(out.splitlines()), err) == (0, 1, "")


def test_lines_that_end_as_in_windows_are_lines(folder: Path) -> None:
    plain = slm(folder, "fixed:2", "--json")
    file = folder / "trace.csv"
    file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
    assert slm(folder, "fixed:2", "--json") == plain


def test_the_same_run_gives_the_same_numbers(folder: Path) -> None:
    assert slm(folder, "objective", "--json", "--profile-error", "1.4") == slm(
        folder, "objective", "--json", "--profile-error", "1.4"
    )


def test_without_json_it_is_a_list_for_people(folder: Path) -> None:
    code, out, _ = slm(folder, "fixed:3")
    assert code == 0
    assert "attainment_percent" in out.splitlines()[0]


def test_what_no_policy_can_hold_is_said(folder: Path) -> None:
    text = (folder / "trace.csv").read_text().replace(",1", ",91")
    (folder / "trace.csv").write_text(text)
    code, out, _ = slm(folder, "objective", "--json")
    found = json.loads(out)
    assert (code, found["feasible"]) == (0, False)
    assert "16 replicas" in found["infeasible_because"]


def test_what_no_policy_can_hold_that_begins_with_so_few_is_said_with_how_many_would(folder: Path) -> None:
    """Three requests a second from the first moment, and a start takes half of the trace."""
    rows = [f"{i / 3},{100 + i % 90},{30 + i % 40}" for i in range(900)]
    (folder / "trace.csv").write_text("\n".join(["TIMESTAMP,ContextTokens,GeneratedTokens", *rows]))
    slow = ("--json", "--start-seconds", "150")
    found = json.loads(slm(folder, "objective", *slow)[1])
    assert not found["feasible"]
    assert found["attainment_percent"] <= found["best_attainment_percent"] < 95
    enough = found["feasible_from_replicas"]
    assert f"set minReplicas to {enough}" in found["infeasible_because"]
    assert "begins with 1: 16 replicas asked for at once" in found["infeasible_because"]
    profile = folder / "profile.yaml"
    for count, held in ((enough, True), (enough - 1, False)):
        profile.write_text(PROFILE.replace("minReplicas: 1", f"minReplicas: {count}"))
        again = json.loads(slm(folder, "hpa-inflight:0.5", *slow)[1])
        assert (again["feasible"], again["attainment_percent"] >= 95) == (held, held)
    quick = json.loads(slm(folder, "objective", "--json", "--start-seconds", "1")[1])
    assert quick["feasible"]


@pytest.mark.parametrize("bound", [("--itl-p95-ms", "75"), ("--e2e-p95-ms", "6000")])
def test_further_objectives_take_more_replicas_and_are_told_each(folder: Path, bound: tuple[str, str]) -> None:
    one, both = (json.loads(slm(folder, "objective", "--json", *more)[1]) for more in ((), bound))
    assert both["replica_hours"] > one["replica_hours"]
    assert set(both["attained_percent"]) > {"first token"}
    assert both["attainment_percent"] == min(both["attained_percent"].values())
    assert "attained_percent" not in one


def test_a_pace_no_replica_has_is_said(folder: Path) -> None:
    found = json.loads(slm(folder, "objective", "--json", "--itl-p95-ms", "40")[1])
    assert not found["feasible"]
    assert (
        "100.0 % of times from token to token take longer with a replica to themselves" in found["infeasible_because"]
    )


def test_without_an_objective_nothing_is_simulated(folder: Path) -> None:
    files = ["--trace", str(folder / "trace.csv"), "--profile", str(folder / "profile.yaml")]
    done = CliRunner().invoke(app, ["simulate", *files, "--policy", "objective"])
    assert done.exit_code == 2
    assert "give --ttft-p95-ms, --itl-p95-ms, --e2e-p95-ms" in done.stderr


def test_a_slow_start_is_worse(folder: Path) -> None:
    text = (folder / "trace.csv").read_text().replace(",1", ",2")
    (folder / "trace.csv").write_text(text)
    quick, slow = (json.loads(slm(folder, "objective", "--json", "--start-seconds", s)[1]) for s in ("5", "200"))
    assert slow["attainment_percent"] < quick["attainment_percent"] - 1


def test_a_budget_is_kept(folder: Path) -> None:
    free = json.loads(slm(folder, "fixed:4", "--json")[1])
    half = ("--json", "--cost-cap", str(free["cost"] / 2))
    capped = json.loads(slm(folder, "hpa-inflight:1", *half)[1])
    refused = json.loads(slm(folder, "hpa-inflight:1", *half, "--cost-action", "refuse")[1])
    assert capped["cost"] <= free["cost"] / 2 * 1.15
    assert refused["cost"] <= free["cost"] / 2 * 1.05
    assert capped["feasible"]


@pytest.mark.parametrize("more", [("--cost-cap", "-1"), ("--cost-cap", "0"), ("--cost-action", "pray")])
def test_a_budget_that_is_none(folder: Path, more: tuple[str, str]) -> None:
    code, _, err = slm(folder, "objective", *more)
    assert code == 2
    assert more[0] in err


@pytest.mark.parametrize(
    ("policy", "told"),
    [
        ("hpa", "give objective, hpa-inflight:T"),
        ("objective:3", "give objective"),
        ("hpa-inflight:0", "above 0"),
        ("knative:nan", "above 0"),
        ("fixed:2.5", "whole numbers from 1 to 16"),
        ("fixed:17", "whole numbers from 1 to 16"),
    ],
)
def test_a_policy_that_is_none(folder: Path, policy: str, told: str) -> None:
    code, out, err = slm(folder, policy, "--json")
    assert (code, out) == (2, "")
    assert told in err


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("slots: 8\n", "", "no field slots"),
        ("slots: 8", "slots: 8\nslot: 9", "unknown: slot"),
        ("slots: 8", "slots: many", "slots is 'many'"),
        ("slots: 8", "slots: 1.5", "slots is 1.5"),
        ("minReplicas: 1", "minReplicas: 17", "minReplicas is above maxReplicas"),
        ('"0.6"', "2", "prefillSlowdown is 2"),
        ("slots: 8", "slots: [", "is no YAML"),
        (PROFILE, "- 1", "must be a mapping"),
    ],
)
def test_a_profile_that_is_none(folder: Path, old: str, new: str, told: str) -> None:
    (folder / "profile.yaml").write_text(PROFILE.replace(old, new))
    code, out, err = slm(folder, "objective", "--json")
    assert (code, out) == (2, "")
    assert "profile.yaml" in err
    assert told in err


@pytest.mark.parametrize("name", ["profile.yaml", "trace.csv"])
def test_a_file_that_is_no_text_is_named(folder: Path, name: str) -> None:
    (folder / name).write_bytes(b"\xff\xfe\0\1")
    code, out, err = slm(folder, "objective", "--json")
    assert (code, out) == (2, "")
    assert name in err
    assert "not UTF-8" in err


def test_a_broken_row_is_named(folder: Path) -> None:
    with (folder / "trace.csv").open("a") as file:
        file.write("\nnever,1,1\n")
    code, _, err = slm(folder, "objective", "--json")
    assert code == 2
    assert "line 302" in err


def test_files_that_are_not_there(tmp_path: Path) -> None:
    code, _, err = slm(tmp_path)
    assert code == 2
    assert "profile.yaml" in err
    (tmp_path / "profile.yaml").write_text(PROFILE)
    said = f"slm simulate: {tmp_path}/trace.csv cannot be used: No such file or directory\n"
    assert slm(tmp_path)[::2] == (2, said)


@pytest.mark.parametrize("more", [("--profile-error", "0"), ("--profile-error", "nan"), ("--start-seconds", "-1")])
def test_numbers_that_make_no_sense(folder: Path, more: tuple[str, str]) -> None:
    code, _, err = slm(folder, "objective", "--json", *more)
    assert code == 2
    assert more[0] in err
