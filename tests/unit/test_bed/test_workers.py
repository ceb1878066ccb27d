"""What shares something runs in one worker, of which pytest-xdist has several."""

import os
from pathlib import Path

import pytest
from hack.testing.run import _environment
from hack.testing.tiers import tiers
from tests.workers import TOGETHER, group

ROOT = Path(__file__).parents[3]
SEEN: list[str] = []


@pytest.mark.parametrize(
    ("nodeid", "name"),
    [
        ("tests/gateway/test_stop.py::test_a", "tests/gateway/test_stop.py"),
        ("tests/unit/x/test_y.py::TestZ::test_a[@1.34]", "tests/unit/x/test_y.py"),
        ("tests/apiserver/test_admission.py::test_a[1.34]", "oldest"),
        ("tests/apiserver/test_admission.py::test_a[1.34-more]", "oldest"),
        ("tests/apiserver/test_admission.py::test_a[1.36]", "tests/apiserver/test_admission.py::test_a[1.36]"),
        ("tests/apiserver/test_leader.py::test_a", "tests/apiserver/test_leader.py::test_a"),
        ("tests/apiserver/test_install.py::test_a", "tests/apiserver/test_install.py"),
    ],
)
def test_groups(nodeid: str, name: str) -> None:
    assert group(nodeid) == name


def test_what_is_named_is_there() -> None:
    assert all((ROOT / name).is_file() for name in TOGETHER)


@pytest.mark.parametrize("number", range(6))
def test_all_tests_of_this_file_run_in_one_worker(request: pytest.FixtureRequest, number: int) -> None:
    """Sent to several, they would not see what those before them left in the process."""
    mine = [item.nodeid for item in request.session.items if request.function.__name__ in item.nodeid]
    assert mine[: len(SEEN) + 1] == [*SEEN, request.node.nodeid]
    SEEN.append(request.node.nodeid)


def test_bytecode_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    tier = tiers(long=False)[0]
    assert "PYTHONDONTWRITEBYTECODE" not in _environment(tier)
    assert _environment(tier)["PATH"] == os.environ["PATH"]
