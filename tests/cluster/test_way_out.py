"""The only way out on the real node: it comes with a target and its credential, what is clean leaves by its route and
what is not stays, and a seal cuts what is open."""

import base64
import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.cluster.conftest import GATEWAYS, Bed
from tests.cluster.outside import Outside, ask, hybrid, request, through, way_out

from smallmodel_operator.api.names import EGRESS, EGRESS_PORT, GATEWAY_KEYS
from smallmodel_operator.boundary.passes import LEAD_MS
from smallmodel_operator.core.keys import ENGINE_MASTER, egress_seed

pytestmark = pytest.mark.long
"""The chart is upgraded twice."""

SYSTEM = "smallmodel-system"
SEAL_SECONDS = 5.0


@pytest.fixture
def outside(bed: Bed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Outside]:
    with way_out(bed, tmp_path, monkeypatch) as server:
        yield server


def target(bed: Bed, namespace: str) -> dict[str, Any]:
    found = bed.get("modelroute", "desk", namespace).get("status", {}).get("targets", [])
    return next((t for t in found if t["name"] == "cloud"), {})


def seed(bed: Bed) -> str:
    """What gateways sign with."""
    data = bed.get("secret", GATEWAY_KEYS, SYSTEM)["data"]
    return egress_seed(base64.b64decode(data[ENGINE_MASTER])).hex()


def said(asking: "subprocess.Popen[str]") -> str:
    assert asking.stdout is not None
    return asking.stdout.readline().strip()


def test_a_seal_cuts_what_is_open_through_it(bed: Bed, namespace: str, outside: Outside) -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "cloud", "namespace": namespace}}
    bed.apply({**secret, "stringData": {"key": "sk-of-the-route"}})
    bed.apply(hybrid(namespace, outside.url))
    bed.until(lambda: target(bed, namespace).get("ready"), 120, "the way out")
    [pod] = bed.items("pods", EGRESS)
    time.sleep(LEAD_MS / 1000 + 1)  # a checker that has just begun takes only what was signed that much later
    gateway = bed.items("pods", SYSTEM, GATEWAYS)[0]["metadata"]["name"]
    to = {"address": pod["status"]["podIP"], "port": EGRESS_PORT, "target": f"{namespace}/desk/cloud"}

    refused = ask(bed.node, gateway, id="a", seed="", **to)
    assert said(refused).startswith("403 ")
    refused.communicate(timeout=60)
    assert outside.asked == []

    asking = ask(bed.node, gateway, id="b", seed=seed(bed), **to)
    assert said(asking) == "200 -"
    assert said(asking) == "on"
    [asked] = outside.asked
    assert asked["path"] == "/v1/chat/completions"
    assert asked["headers"]["authorization"] == "Bearer sk-of-the-route"
    assert not {"x-tenant", "x-slm-pass", "x-slm-target", "x-request-id"} & asked["headers"].keys()
    assert json.loads(asked["body"])["model"] == "big-1"

    boundary = {"apiVersion": "smallmodel.dev/v1alpha1", "kind": "ClusterBoundary", "metadata": {"name": "cluster"}}
    bed.apply({**boundary, "spec": {"namespaces": [{"name": namespace, "external": "Denied"}]}})
    sealed = time.monotonic()
    while said(asking) == "on":
        pass
    took = time.monotonic() - sealed
    asking.communicate(timeout=60)
    bed.until(lambda: outside.cut_at, 30, "outside")
    print(f"cut {took:.2f} s after the seal was declared; outside saw it after {outside.cut_at - sealed:.2f} s")
    assert took <= SEAL_SECONDS
    assert outside.cut_at - sealed <= SEAL_SECONDS
    bed.until(lambda: not bed.items("pods", EGRESS) and not bed.items("deployments", EGRESS), 90, "nothing left")
    bed.until(lambda: target(bed, namespace).get("reason") == "ExternalDenied", 90, "it is said")

    bed.apply({**boundary, "spec": {}})
    bed.until(lambda: target(bed, namespace).get("ready"), 120, "the way out again")
    assert len(outside.asked) == 1
    clean, iban = "Write a haiku about rain.", "Pay DE89 3704 0044 0532 0130 00 today."
    bed.until(lambda: through(bed, namespace, clean) == (200, "on"), 90, "what is clean leaves by its route")
    assert [json.loads(asked["body"]) for asked in outside.asked[1:]] == [{**request(clean), "model": "big-1"}]
    assert outside.asked[1]["headers"]["authorization"] == "Bearer sk-of-the-route"
    assert through(bed, namespace, iban) == (403, "kept_inside")
    assert len(outside.asked) == 2
    bed.kubectl("-n", namespace, "delete", "modelroute", "desk")
    bed.until(lambda: not bed.items("pods", EGRESS), 90, "gone with its route")
