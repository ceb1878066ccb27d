"""A node that stops answering: its replicas stand on another one within a minute."""

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hack.cluster import process
from hack.cluster.binaries import program
from hack.cluster.controlplane import STAGES, ControlPlane, control_plane
from hack.ports import free_port
from tests.apiserver.conftest import CRDS, ROOT, Operator, apply, eventually, kubectl
from tests.apiserver.objects import NODE, PROFILE, model

from smallmodel_operator.cluster.client import Client

NODES = ("fake-0", "fake-1")
REPLACED_SECONDS = 60


@pytest.fixture
def minor() -> str:
    return "two nodes"


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[ControlPlane]:
    """A control plane of its own with two nodes, each played by a kwok of its own that can be killed."""
    made = control_plane("dead-node", tmp_path / "plane", components=("kube-controller-manager", "kube-scheduler"))
    try:
        made.kubectl("apply", "--server-side", "-k", str(ROOT / "crds"))
        made.established(*CRDS)
        for name in NODES:
            labels = {"kubernetes.io/hostname": name}  # which each kubelet sets
            node = {**NODE, "metadata": {**NODE["metadata"], "name": name, "labels": labels}}
            made.kubectl("apply", "--server-side", "-f-", stdin=json.dumps(node))
            command = [program("kwok"), f"--kubeconfig={made.kubeconfig}", f"--config={STAGES}",
                       f"--manage-single-node={name}", f"--server-address=127.0.0.1:{free_port()}"]  # fmt: skip
            process.start(f"kwok-{name}", command, made.folder)
        made.kubectl("apply", "--server-side", "-f-", stdin=json.dumps(PROFILE))
        yield made
    finally:
        for name in NODES:
            process.stop(f"kwok-{name}", made.folder, grace=0)
        made.stop()


def _on(pods: list[dict[str, Any]], node: str) -> list[dict[str, Any]]:
    return [p for p in pods if p["spec"].get("nodeName") == node and not p["metadata"].get("deletionTimestamp")]


def _ready(pods: list[dict[str, Any]]) -> int:
    """How many of them are Ready."""
    found = [{c["type"]: c["status"] for c in p.get("status", {}).get("conditions", [])} for p in pods]
    return sum(c.get("Ready") == "True" for c in found)


@pytest.mark.long
async def test_its_replicas_stand_elsewhere_within_a_minute(
    api: Client, plane: ControlPlane, operator: Operator, namespace: str
) -> None:
    """The grace period of the node controller is 20 s here (Kubernetes' own default is 50 s): the rest is ours."""

    async def untainted() -> None:
        nodes = json.loads(await kubectl(plane, "get", "nodes", "-o=json"))["items"]
        assert len(nodes) == len(NODES)
        assert not [n for n in nodes if n["spec"].get("taints")], "not ready yet"

    await eventually(untainted, 60)
    async with operator():
        await apply(api, model(namespace, replicas=2))

        async def spread() -> None:
            pods = await api.list("Pod", namespace)
            assert [len(_on(pods, n)) for n in NODES] == [1, 1], "one replica on each node"
            assert _ready(pods) == 2

        await eventually(spread, 60)
        pid = process.pid_of(f"kwok-{NODES[0]}", plane.folder)
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        fell = time.monotonic()

        async def replaced() -> None:
            alive = _on(await api.list("Pod", namespace), NODES[1])
            assert _ready(alive) == 2, "both replicas on the node that lives"

        await eventually(replaced, REPLACED_SECONDS)
        took = time.monotonic() - fell
        print(f"\nboth replicas Ready on the other node {took:.1f} s after the first fell silent")
