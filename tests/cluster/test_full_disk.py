"""The claim of a gateway gets full: what is then done is what was asked for, it is said, and the chain goes on."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hack.cluster.paths import REPOSITORY

pytestmark = pytest.mark.long


def drilled(folder: Path, mode: str) -> dict[str, Any]:
    """In a mount namespace of its own: the file system goes with the process."""
    words = ["unshare", "--mount", "--propagation", "private", sys.executable, "-m", "tests.gateway.full_disk"]
    done = subprocess.run(
        [*words, str(folder), mode], cwd=REPOSITORY, capture_output=True, text=True, timeout=400, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-6000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Short: a Unix socket's path may have 107 bytes."""
    return tmp_path_factory.mktemp("f")


def test_continue_serves_and_says_what_was_not_recorded(folder: Path) -> None:
    seen = drilled(folder, "Continue")
    assert seen["before"] == ["", ""]
    assert set(seen["while"]) == {200}
    assert any("No space left on device" in text or "free on the claim" in text for text in seen["troubles"])
    assert any("Requests are served" in text for text in seen["troubles"])
    assert (seen["failing"], seen["refusing"]) == (1, 0)
    assert seen["after"] == [0, 0]
    assert seen["faults"] == []
    assert seen["twice"] == 0
    assert seen["last"], "what came when there was room again"
    count = seen["count"]
    # What Envoy could not write is not there, and the count says how much that is.
    assert (count["finished"], count["recorded"]) == (seen["asked"], seen["recorded"])
    assert (count["missing"], count["surplus"]) == (len(seen["lost"]), 0)
    assert "writing-failed" in seen["events"] or count["missing"], "the chain says it"


def test_refuse_refuses_before_it_is_full_and_loses_nothing(folder: Path) -> None:
    seen = drilled(folder, "Refuse")
    assert seen["before"] == ["", ""]
    assert set(seen["while"]) == {503}
    assert any("KiB are free on the claim" in text and "Requests are refused" in text for text in seen["troubles"])
    assert (seen["failing"], seen["refusing"]) == (0, 1)
    assert seen["after"] == [0, 0]
    assert seen["faults"] == []
    assert (seen["twice"], seen["lost"], seen["last"]) == (0, [], True)
    count = seen["count"]
    assert count["finished"] == count["recorded"] == seen["asked"] == seen["recorded"]
    assert (count["missing"], count["surplus"]) == (0, 0)
