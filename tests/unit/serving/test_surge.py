"""In place only where there is no other way, and somebody holds the callers."""

from dataclasses import replace
from typing import Any

import pytest
from tests.fakes import objects
from tests.fakes.gateways import ROUTED

from smallmodel_operator.core.facts import Snapshot
from smallmodel_operator.core.traffic import Traffic
from smallmodel_operator.serving import surge

MIB = 2**20


def waiting(seconds: float, message: str = "0/1 nodes are available: 1 Insufficient memory.") -> dict[str, Any]:
    pod = objects.unschedulable(seconds)
    pod["status"]["conditions"][0]["message"] = message
    pod["spec"]["containers"] = [{"resources": {"requests": {"memory": "100Mi"}}}]
    return pod


def world(*pods: Any, **more: Any) -> Snapshot:
    return Snapshot(now=objects.NOW, pods=pods, **{"traffic": ROUTED, **more})


def live(in_place: bool = False) -> dict[str, Any]:
    return {**objects.deployment(), "spec": {"strategy": surge.Surge(in_place).strategy}}


def test_after_its_patience_the_only_replica_makes_room() -> None:
    made = surge.decide(1, live(), False, world(objects.ready(), waiting(16), freest_node_memory=30 * MIB))
    assert made.in_place
    assert made.strategy["rollingUpdate"] == {"maxSurge": 0, "maxUnavailable": 1}
    assert made.report is not None
    assert "70 MiB of memory are missing" in made.report.message


@pytest.mark.parametrize(
    ("replicas", "settled", "snapshot"),
    [
        (1, False, world(objects.ready(), waiting(5))),
        (2, False, world(objects.ready(), waiting(60))),
        (1, True, world(objects.ready(), waiting(60))),
        (1, False, world(waiting(60))),
        (1, False, world(objects.ready(), waiting(60, "0/1 nodes are available: 1 node(s) had untolerated taint."))),
        (1, False, world(objects.ready(), waiting(60), traffic=Traffic())),
    ],
    ids=["not long yet", "others answer", "nothing under way", "none runs", "not for room", "nobody holds callers"],
)
def test_otherwise_it_stays_beside(replicas: int, settled: bool, snapshot: Snapshot) -> None:
    made = surge.decide(replicas, live(), settled, snapshot)
    assert not made.in_place
    assert made.report is None


def test_it_looks_again_when_the_patience_is_over() -> None:
    assert surge.decide(1, live(), False, world(objects.ready(), waiting(5))).look_again_seconds == 10


def test_once_begun_it_goes_on_until_it_is_done() -> None:
    swapping = world(waiting(20))
    assert surge.decide(1, live(in_place=True), False, swapping).in_place
    assert surge.decide(1, live(in_place=True), False, replace(swapping, pods=())).in_place
    assert not surge.decide(1, live(in_place=True), True, world(objects.ready())).in_place


def test_what_is_missing_is_named_where_it_is_not_memory() -> None:
    text = "0/1 nodes are available: 1 Insufficient nvidia.com/gpu. preemption: 0/1 nodes are available."
    made = surge.decide(1, live(), False, world(objects.ready(), waiting(16, text)))
    assert made.report is not None
    assert "nvidia.com/gpu" in made.report.message
