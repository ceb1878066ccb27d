"""Counts, and the condition Available."""

from typing import Any

import pytest
from tests.fakes import objects

from smallmodel_operator.api.conditions import Condition, Reason
from smallmodel_operator.core.facts import Snapshot
from smallmodel_operator.serving import decide

DONE = {"replicas": 2, "availableReplicas": 2, "updatedReplicas": 2}


def snapshot(live: Any = None, *pods: Any) -> Snapshot:
    return Snapshot(now=objects.NOW, children={("Deployment", "bot"): live} if live else {}, pods=pods)


def test_no_deployment_counts_nothing() -> None:
    assert decide.replicas(None, 2) == decide.Replicas(2, 0, 0, 0, False)
    assert decide.replicas(None, 0).settled


def test_a_deployment_that_is_done_is_settled() -> None:
    assert decide.replicas(objects.deployment(**DONE), 2).settled


@pytest.mark.parametrize(
    "change",
    [{"replicas": 3}, {"availableReplicas": 1}, {"updatedReplicas": 1}, {"observedGeneration": 0}, {"replicas": 0}],
)
def test_anything_under_way_is_not_settled(change: dict[str, int]) -> None:
    assert not decide.replicas(objects.deployment(**{**DONE, **change}), 2).settled


def test_a_new_count_is_not_settled_until_it_is_there() -> None:
    assert not decide.replicas(objects.deployment(**DONE), 3).settled


def test_missing_status_fields_are_zero() -> None:
    live = objects.deployment()
    live["status"] = {}
    assert decide.replicas(live, 1) == decide.Replicas(1, 0, 0, 0, False, deployed=True)


@pytest.mark.parametrize(
    ("wanted", "why_none", "live", "pods", "status", "reason"),
    [
        (2, None, objects.deployment(**DONE), (), True, Reason.SERVING),
        (2, None, objects.deployment(availableReplicas=1), (objects.crashed("x"),), True, Reason.SERVING),
        (1, None, None, (), False, Reason.STARTING),
        (1, None, objects.deployment(), (objects.crashed("x"),), False, Reason.CRASH_LOOP),
        (0, Reason.SCALED_TO_ZERO, objects.deployment(), (objects.crashed("x"),), False, Reason.SCALED_TO_ZERO),
        (0, Reason.ASLEEP, objects.deployment(), (), False, Reason.ASLEEP),
        (0, Reason.SUSPENDED, objects.deployment(), (), False, Reason.SUSPENDED),
    ],
)
def test_available(wanted: int, why_none: Reason | None, live: Any, pods: Any, status: bool, reason: Reason) -> None:
    part, count, found = decide.observe("bot", wanted, why_none, snapshot(live, *pods))
    (report,) = part.reports
    assert (report.condition, report.status, report.reason) == (Condition.AVAILABLE, status, reason)
    assert count.wanted == wanted
    assert wanted or found is None


def test_a_pod_that_waits_for_room_asks_for_a_look() -> None:
    part, _, _ = decide.observe("bot", 1, None, snapshot(objects.deployment(), objects.unschedulable(10)))
    assert part.look_again_seconds == 50
