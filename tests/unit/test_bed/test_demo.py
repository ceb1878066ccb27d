"""What the demo and `make help` print."""

import re
import subprocess
import time
from pathlib import Path

import pytest
import yaml
from hack.demo.run import BOUNDARY, beginning, declare_boundary, what_stays
from hack.demo.ticker import working
from hack.install.steps import Access

from smallmodel_operator.boundary.stops import stops

REPOSITORY = Path(__file__).resolve().parents[3]


def test_a_long_step_says_that_it_goes_on_and_how_long_it_took(capsys: pytest.CaptureFixture[str]) -> None:
    said, end = "", time.monotonic() + 60
    with working("the node", tick_seconds=0.05):
        while said.count("\n") < 3 and time.monotonic() < end:  # a busy machine ticks late
            time.sleep(0.05)
            said += capsys.readouterr().out
    first, *ticks, last = (said + capsys.readouterr().out).splitlines()
    assert first.strip() == "the node ..."
    assert len(ticks) >= 2
    assert all(t.strip().startswith("the node ... ") for t in ticks)
    assert re.fullmatch(r"the node: \d+\.\d s", last.strip())


def test_a_step_that_fails_stops_ticking_and_claims_no_success(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="no"), working("the node", tick_seconds=0.02):
        raise ValueError("no")
    time.sleep(0.1)
    assert [line.strip() for line in capsys.readouterr().out.splitlines()] == ["the node ..."]


def test_help_in_a_pipe_is_plain_and_can_be_copied() -> None:
    out = subprocess.run(["make", "help"], cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    assert "\033" not in out
    assert "eval $(make -s cluster-env)" in out
    assert "$$" not in out
    assert any(line.split()[:1] == ["demo"] for line in out.splitlines())


def test_the_demo_counts_from_the_moment_make_began(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEMO_BEGAN", "1700000000")
    assert beginning() == 1700000000
    monkeypatch.delenv("DEMO_BEGAN")
    assert abs(beginning() - time.time()) < 5


@pytest.mark.parametrize("there", [True, False])
def test_the_demo_declares_a_boundary_that_stops_nothing_and_leaves_one_that_is_there(
    monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    """Who tries the kill switch on the demo's cluster and runs the demo again does not find it lifted."""
    asked: list[tuple[tuple[str, ...], str]] = []

    def kubectl(_: Access, *words: str, stdin: str = "") -> str:
        asked.append((words, stdin))
        return "clusterboundary.smallmodel.dev/cluster\n" if there and words[0] == "get" else ""

    monkeypatch.setattr(Access, "kubectl", kubectl)
    declare_boundary(Access())
    assert [words[0] for words, _ in asked] == (["get"] if there else ["get", "apply"])
    (boundary,) = yaml.safe_load_all(BOUNDARY.read_text())
    assert boundary["kind"] == "ClusterBoundary"
    assert stops(boundary) == []
    assert there or yaml.safe_load(asked[-1][1]) == boundary


def test_make_says_when_it_began(tmp_path: Path) -> None:
    """With a Python that only prints what it was given."""
    shim = tmp_path / "bin" / "python"
    shim.parent.mkdir()
    shim.write_text("#!/bin/sh\necho began=$DEMO_BEGAN\n")
    shim.chmod(0o755)
    (tmp_path / ".stamp").touch()
    command = ["make", "-s", "demo", f"VENV={tmp_path}"]
    out = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    assert abs(int(out.strip().rpartition("began=")[2]) - time.time()) < 30


@pytest.mark.parametrize(("name", "make"), [("", "make"), ("slm", "make"), ("two", "CLUSTER_NAME=two make")])
def test_what_removes_the_demo_names_its_own_cluster(name: str, make: str) -> None:
    assert f"`{make} cluster-down`" in what_stays(name)
    assert f"$({make} -s cluster-env)" in what_stays(name)
