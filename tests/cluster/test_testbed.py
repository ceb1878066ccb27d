"""The test bed itself: it comes up twice, says how it stands, and its policies bite."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from hack.cluster import network, process
from hack.cluster.__main__ import components, dead, status
from hack.cluster.binaries import program
from hack.cluster.node import Node
from tests.cluster.conftest import NAME, Bed


def test_up_again_changes_nothing(bed: Bed) -> None:
    before = _pids(bed)
    assert None not in before.values(), before
    bed.node.up()
    # A component that ends because its file was written or touched does so a moment later.
    time.sleep(2)
    after = status(bed.node)
    words = [f"{name}: {process.last_words(name, bed.node.folder)}" for name in dead(bed.node)]
    assert _pids(bed) == before, "\n".join(["nothing was to be started anew", *words])
    assert after["ready"] is True


def test_what_ended_by_itself_says_its_last_words(bed: Bed, capfd: pytest.CaptureFixture[str]) -> None:
    pid = process.pid_of("kube-proxy", bed.node.folder)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    bed.until(lambda: dead(bed.node) == ["kube-proxy"], 90, "kube-proxy found dead")
    bed.node.up()
    assert "kube-proxy had ended and is started again" in capfd.readouterr().err
    assert dead(bed.node) == []


def _pids(bed: Bed) -> dict[str, int | None]:
    return {name: process.pid_of(name, bed.node.folder) for name in components(bed.node)}


def test_status_for_machines(bed: Bed) -> None:
    command = [sys.executable, "-m", "hack.cluster", "status", "--name", NAME, "-o", "json"]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert json.loads(out)["version"] == "v1.36.3"


def test_env_is_what_a_shell_needs(bed: Bed) -> None:
    command = [sys.executable, "-m", "hack.cluster", "env", "--name", NAME]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    done = subprocess.run(
        ["bash", "-c", f"{out}\n$SLM_ENTER kubectl get nodes -o name\nctr images list -q\nslm version"],
        check=True,
        capture_output=True,
        text=True,
    )
    lines = done.stdout.splitlines()
    assert lines[0] == "node/node"
    assert "slm.test/pause:1" in lines, "ctr speaks to this cluster's containerd"


def test_there_is_no_way_out(bed: Bed) -> None:
    """From the cluster's namespace nothing but the cluster answers; the route out leads to a bridge without members."""
    routes = subprocess.run([*bed.node.prefix, "ip", "route"], check=True, capture_output=True, text=True).stdout
    assert "default dev nowhere" in routes


def test_what_would_leave_is_counted(bed: Bed) -> None:
    """So that a count of nothing at the end means something. What this test sends is taken off the count again."""
    way = f"{bed.node.addresses.node} > 203.0.113.77 > udp"
    subprocess.run([*bed.node.prefix, "bash", "-c", "echo x >/dev/udp/203.0.113.77/4000"], check=True)
    assert f"{way}: 1 packets" in network.left(bed.node.name)
    element = f"{{ {way.replace(' > ', ' . ')} }}"
    subprocess.run(
        [*bed.node.prefix, "nft", "delete", "element", "ip", network.LEFT, network.LEFT, element], check=True
    )
    assert not [found for found in network.left(bed.node.name) if found.startswith(way)]


def test_names_of_the_world_outside_do_not_exist_and_that_is_known_at_once(bed: Bed) -> None:
    """For the node's programs too, which read the host's resolv.conf: a pull from nowhere fails in a moment."""
    started = time.monotonic()
    command = [*bed.node.prefix, program("containerd", "ctr"), "-a", str(bed.node.socket), "images", "pull",
               "registry.example.com/nothing/here:1"]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True)
    took = time.monotonic() - started
    assert done.returncode != 0
    assert "no such host" in done.stderr
    assert took < 10, f"{took:.1f} s"


def test_a_cluster_of_another_recipe_is_made_anew(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `up` finds is compared with what it would make."""
    made: list[str] = []
    monkeypatch.setattr(Node, "_down", lambda self: made.append("down"))
    bed.node.up()
    assert made == []
    (bed.node.folder / "recipe").write_text("another")
    bed.node.up()
    assert made == ["down"]
    bed.node.up()
    assert made == ["down"], "the recipe is recorded"


def test_a_killed_component_comes_back(bed: Bed) -> None:
    process.stop("kube-scheduler", bed.node.folder, grace=0)
    assert process.pid_of("kube-scheduler", bed.node.folder) is None
    bed.node.up()
    assert process.pid_of("kube-scheduler", bed.node.folder) is not None


def test_down_of_what_never_was_is_fine() -> None:
    node = Node("never-was")
    node.down()
    assert not node.folder.exists()
