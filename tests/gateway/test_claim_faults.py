"""The claim of a gateway with a target outside is full, or does not answer: nothing leaves without a record, and each
request has the outcome that docs/explanation/gateway.md states. As root: the claim is a file system of its own."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hack.cluster.paths import REPOSITORY
from tests.gateway.under_load import ASKED, leaves

STAYS = {"named": ["403 kept_inside"], "ruled": ["inside"], "sensitive": ["inside"], "inside": ["inside"]}
REFUSED = {kind: ["503 overloaded"] for kind in ASKED}


def drilled(module: str, folder: Path, *how: str) -> dict[str, Any]:
    """In a mount namespace of its own: the file system goes with the process."""
    words = ["unshare", "--mount", "--propagation", "private", sys.executable, "-m", f"tests.gateway.{module}"]
    done = subprocess.run(
        [*words, str(folder), *how], cwd=REPOSITORY, capture_output=True, text=True, timeout=500, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-6000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Short: a Unix socket's path may have 107 bytes."""
    return tmp_path_factory.mktemp("f")


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("fault", ["full", "frozen"])
@pytest.mark.parametrize(("mode", "outcomes"), [("Continue", STAYS), ("Refuse", REFUSED)])
def test_nothing_leaves_without_a_record_and_each_has_its_outcome(
    folder: Path, fault: str, mode: str, outcomes: dict[str, list[str]]
) -> None:
    seen = drilled("claim_faults", folder, fault, mode)
    assert leaves(seen["before"]), seen["before"]
    assert seen["while"] == outcomes
    assert leaves(seen["after"]), seen["after"]
    assert seen["said"] == ["Hello"], "nothing sensitive"
    assert 0 < seen["left"] <= seen["recorded"]
    assert seen["faults"] == []


@pytest.mark.timeout(300)
def test_a_journal_on_a_full_claim_neither_loses_nor_invents_spend(folder: Path) -> None:
    """Forty times over, a gateway killed while it is full or soon after: who was let go is known, and nobody else."""
    seen = drilled("full_journal", folder)
    assert seen["wrong"] == [], "what was let go is not what the journal knew"
    assert (seen["not_kept"], seen["other"], seen["unopened"]) == (200, [], 20), seen
    assert seen["spent"] > 100
