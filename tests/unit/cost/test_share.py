"""Shares of nodes."""

from datetime import UTC, datetime
from typing import Any

import pytest

from smallmodel_operator.core.money import decimal
from smallmodel_operator.cost.ledger import Pool, microseconds
from smallmodel_operator.cost.node import NodePrice
from smallmodel_operator.cost.pool import PricedProfile, pod_of, pool_of, priced
from smallmodel_operator.cost.share import WHOLE, parts, requests_of, room_of

NODE: dict[str, Any] = {
    "metadata": {"name": "n", "labels": {"pool": "models"}, "creationTimestamp": "2026-11-01T00:00:00Z"},
    "status": {"allocatable": {"cpu": "16", "memory": "64Gi", "nvidia.com/gpu": "8", "pods": "110"}},
}
CREATED = "2026-11-02T10:00:00Z"


def container(**requests: str) -> dict[str, Any]:
    return {"resources": {"requests": {k.replace("_", "/"): v for k, v in requests.items()}}}


def pod(*containers: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "p", "creationTimestamp": CREATED},
        "spec": {"nodeName": "n", "containers": list(containers), **spec},
        "status": {"phase": "Running"},
    }


@pytest.mark.parametrize(
    ("requests", "expected"),
    [
        ({"cpu": "4", "memory": "8Gi"}, WHOLE // 4),
        ({"cpu": "500m", "memory": "32Gi"}, WHOLE // 2),
        ({"cpu": "1", "nvidia.com/gpu": "2"}, WHOLE // 4),
        ({"cpu": "3"}, 187_500),
        ({}, 0),
        ({"cpu": "32"}, WHOLE),
        ({"amd.com/gpu": "1"}, WHOLE),
        ({"ephemeral-storage": "1Ti"}, 0),
    ],
)
def test_the_largest_share_counts(requests: dict[str, str], expected: int) -> None:
    found = requests_of({"spec": {"containers": [{"resources": {"requests": requests}}]}})
    assert parts(found, room_of(NODE)) == expected


def test_init_containers_count_where_they_need_more_and_sidecars_stay() -> None:
    sidecar = {**container(cpu="1"), "restartPolicy": "Always"}
    found = requests_of(pod(container(cpu="2"), container(cpu="1"), initContainers=[container(cpu="8"), sidecar]))
    assert found["cpu"] == 8
    found = requests_of(pod(container(cpu="2"), initContainers=[sidecar], overhead={"cpu": "250m"}))
    assert found["cpu"] == decimal("", "3.25")


def test_a_pod_pays_from_when_it_was_given_its_node() -> None:
    placed = {"conditions": [{"type": "PodScheduled", "status": "True", "lastTransitionTime": "2026-11-02T10:00:30Z"}]}
    found = pod_of({**pod(container(cpu="1")), "status": placed}, "support/bot")
    assert found is not None
    created = pod_of(pod(container(cpu="1")), "support/bot")
    assert created is not None
    assert found.since - created.since == 30_000_000


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_who_ended_or_has_no_node_pays_nothing(phase: str) -> None:
    assert pod_of({**pod(), "status": {"phase": phase}}, "m") is None
    assert pod_of({**pod(), "spec": {"containers": []}}, "m") is None


def profile(name: str, **selector: str) -> PricedProfile:
    return PricedProfile(name, selector, NodePrice("EUR", decimal("", "0.45")))


def test_a_node_belongs_to_the_profile_that_asks_for_most() -> None:
    every, models, other = profile("every"), profile("models", pool="models"), profile("other", pool="other")
    labels = NODE["metadata"]["labels"]
    assert pool_of(labels, [every, models, other]) == Pool("models", "EUR", 450_000_000)
    assert pool_of({}, [profile("b"), profile("a"), models]) == Pool("a", "EUR", 450_000_000)
    assert pool_of(labels, [other]) is None


def test_nodes_have_their_pods() -> None:
    mine, theirs = pod_of(pod(container(cpu="4")), "support/bot"), pod_of(pod(container(cpu="2")), "")
    assert mine is not None
    assert theirs is not None
    [found] = priced([NODE, {"metadata": {"name": "x", "creationTimestamp": CREATED}}], [mine, theirs], [
        profile("models", pool="models")
    ])  # fmt: skip
    assert [(t.model, t.parts) for t in found.tenants] == [("", WHOLE // 8), ("support/bot", WHOLE // 4)]
    assert found.since == microseconds(datetime(2026, 11, 1, tzinfo=UTC))


def test_what_is_needed_of_nodes_and_pods_to_say_what_they_draw() -> None:
    """All cores of the node, also those that pods may not have; and which pod is ours, and has a device."""
    labels = {"requests": {"cpu": "4", "nvidia.com/gpu": "1"}}
    gpu = {**pod({"resources": labels}), "metadata": {"name": "p", "uid": "u-1", "creationTimestamp": CREATED}}
    pods = [found for found in (pod_of(gpu, "support/bot"), pod_of(gpu, ""), pod_of(pod(container(cpu="1")), "m"))
            if found]  # fmt: skip
    node = {**NODE, "status": {**NODE["status"], "capacity": {"cpu": "16500m"}}}
    powered = PricedProfile("models", {"pool": "models"}, NodePrice("EUR", decimal("", "0.45")), 400)
    [found] = priced([node], pods, [powered])
    assert (found.millicores, found.pool.watts) == (16_500, 400)
    assert {(t.model, t.pod, t.devices) for t in found.tenants} == {
        ("support/bot", "u-1", True), ("", "", True), ("m", "", False),
    }  # fmt: skip
    [bare] = priced([NODE], pods, [profile("models", pool="models")])
    assert (bare.millicores, bare.pool.watts) == (0, 0), "nobody says"
