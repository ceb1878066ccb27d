"""The test bed itself: it comes up twice, says how it stands, and its policies bite."""

import json
import subprocess
import sys
import time

from hack.cluster import process
from hack.cluster.__main__ import COMPONENTS, status
from hack.cluster.node import Node
from tests.cluster.conftest import NAME, Bed


def test_up_again_changes_nothing(bed: Bed) -> None:
    before, pids = status(bed.node), _pids(bed)
    bed.node.up()
    time.sleep(1)  # a component that ends because its file was written does so a moment later
    assert status(bed.node) == before
    assert _pids(bed) == pids, "nothing was started anew"
    assert before["ready"] is True
    assert all(dict(before["components"]).values())  # type: ignore[call-overload]


def _pids(bed: Bed) -> dict[str, int | None]:
    return {name: process.pid_of(name, bed.node.folder) for name in COMPONENTS}


def test_status_for_machines(bed: Bed) -> None:
    command = [sys.executable, "-m", "hack.cluster", "status", "--name", NAME, "-o", "json"]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert json.loads(out)["version"] == "v1.36.3"


def test_env_is_what_a_shell_needs(bed: Bed) -> None:
    command = [sys.executable, "-m", "hack.cluster", "env", "--name", NAME]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    done = subprocess.run(
        ["bash", "-c", f"{out}\n$SLM_ENTER kubectl get nodes -o name"], check=True, capture_output=True, text=True
    )
    assert done.stdout.strip() == "node/node"


def test_there_is_no_way_out(bed: Bed) -> None:
    """From the cluster's namespace nothing but the cluster answers; the route out leads to a bridge without members."""
    routes = subprocess.run([*bed.node.prefix, "ip", "route"], check=True, capture_output=True, text=True).stdout
    assert "default dev nowhere" in routes


def test_a_killed_component_comes_back(bed: Bed) -> None:
    process.stop("kube-scheduler", bed.node.folder, grace=0)
    assert process.pid_of("kube-scheduler", bed.node.folder) is None
    bed.node.up()
    assert process.pid_of("kube-scheduler", bed.node.folder) is not None


def test_down_of_what_never_was_is_fine() -> None:
    node = Node("never-was")
    node.down()
    assert not node.folder.exists()
