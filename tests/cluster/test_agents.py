"""The example's agent and its citations in pods of the real node, which reach the gateway and nothing else."""

import copy
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hack.images.build import build_image
from tests.cluster.conftest import Bed
from tests.cluster.test_hostile_pod import PROBE, Where, opened, tries

pytestmark = pytest.mark.long
"""A model is started and asked some five times."""

EXAMPLE = Path(__file__).parents[2] / "examples" / "19-an-agent-with-three-tools"
TOOLS = {"find_order", "order_status", "refund_rules"}
PROGRAMS = ("agent.py", "cite.py")


def objects(file: str, namespace: str) -> Iterator[dict[str, Any]]:
    """The example's own, in another namespace."""
    for obj in yaml.safe_load_all((EXAMPLE / file).read_text()):
        if obj["kind"] != "Namespace":
            yield {**obj, "metadata": {**obj["metadata"], "namespace": namespace}}


def run(bed: Bed, namespace: str, where: Where, wanted: set[str]) -> Iterator[dict[str, Any]]:
    """`run.yaml`, with the image that is here, and one more container in its pod that tries to get out."""
    for obj in copy.deepcopy(list(objects("run.yaml", namespace))):
        if obj["kind"] == "NetworkPolicy":
            # The node's DNS is no pod here but a program of the node.
            obj["spec"]["egress"][0]["to"] = [{"ipBlock": {"cidr": f"{bed.node.addresses.node}/32"}}]
        else:
            spec = obj["spec"]["template"]["spec"]
            code = ["python3", "-c", PROBE, json.dumps([where, sorted(wanted)])]
            spec["containers"].append({**spec["containers"][0], "name": "out", "command": code})
            for container in spec["containers"]:
                container |= {"image": build_image("toolbox").reference, "imagePullPolicy": "IfNotPresent"}
        yield obj


@pytest.fixture
def outside(bed: Bed) -> Iterator[int]:
    """Port of a server outside the cluster: the kernel accepts for it."""
    with socket.create_server((bed.node.addresses.host, 0)) as server:
        yield int(server.getsockname()[1])


@pytest.fixture
def served(bed: Bed, namespace: str, weights: dict[str, str]) -> str:
    """The namespace of the example's model and route."""
    for obj in objects("model.yaml", namespace):
        if obj["kind"] == "SmallModel":
            obj["spec"]["source"]["uri"] = weights["first"]
        bed.apply(obj)
    bed.ready("general", namespace)
    bed.until(lambda: stands(bed, namespace), what="the route is Ready")
    return namespace


def stands(bed: Bed, namespace: str) -> bool:
    found = bed.get("modelroute", "agents", namespace).get("status", {}).get("conditions", [])
    return any(c["type"] == "Ready" and c["status"] == "True" for c in found)


def ended(bed: Bed, namespace: str) -> bool:
    return bool({"succeeded", "failed"} & bed.get("job", "agent", namespace).get("status", {}).keys())


def said(bed: Bed, namespace: str, container: str) -> str:
    return bed.kubectl("-n", namespace, "logs", "job/agent", "-c", container)


def test_an_agent_and_its_citations_work_without_a_way_out(bed: Bed, served: str, outside: int) -> None:
    api = str(bed.get("service", "kubernetes", "default")["spec"]["clusterIP"])
    where: Where = {
        "a server outside": ("tcp", bed.node.addresses.host, outside),
        "the API server": ("tcp", api, 443),
        "the door": ("tcp", bed.gateway(), 80),
    }
    assert tries(bed, served, "control", where, set(where)) == set(where), "who is no agent gets there"

    data = {name: (EXAMPLE / name).read_text() for name in PROGRAMS}
    meta = {"name": "programs", "namespace": served}
    bed.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data})
    for obj in run(bed, served, where, {"the door"}):
        bed.apply(obj)
    bed.until(lambda: ended(bed, served), 180, "the Job ends")
    assert opened(said(bed, served, "out")) == {"the door"}

    found = json.loads(said(bed, served, "agent"))
    assert len(found["calls"]) == 3, found
    assert {one["tool"] for one in found["calls"]} <= TOOLS
    assert found["answer"]
    cited = json.loads(said(bed, served, "cite"))
    assert set(cited) == {"given", "cites", "answer"}
    assert cited["cites"] in cited["given"]
    assert bed.get("job", "agent", served)["status"].get("succeeded") == 1
