"""Parts merge into a plan: sorted, nothing twice, the earliest look."""

import pytest

from smallmodel_operator.api.conditions import Condition, Reason, Report
from smallmodel_operator.core.plan import Part, Plan, key_of


def obj(kind: str, name: str) -> dict[str, object]:
    return {"kind": kind, "metadata": {"name": name}}


def test_parts_are_merged_and_sorted() -> None:
    report = Report(Condition.AVAILABLE, True, Reason.SERVING, "x")
    plan = Plan.of(
        [
            Part(objects=(obj("Service", "b"),), status={"a": 1}, look_again_seconds=30),
            Part(objects=(obj("Deployment", "b"),), kept=(obj("PersistentVolumeClaim", "c"),), reports=(report,)),
            Part(status={"b": 2}, look_again_seconds=5),
        ]
    )
    assert [key_of(o) for o in plan.objects] == [("Deployment", "b"), ("Service", "b")]
    assert [key_of(o) for o in plan.kept] == [("PersistentVolumeClaim", "c")]
    assert plan.reports == (report,)
    assert plan.status == {"a": 1, "b": 2}
    assert plan.look_again_seconds == 5
    assert plan.prune


def test_the_order_of_parts_does_not_matter_for_objects() -> None:
    parts = [Part(objects=(obj("Service", "b"),)), Part(objects=(obj("Deployment", "b"),))]
    assert Plan.of(parts).objects == Plan.of(reversed(parts)).objects


def test_planning_an_object_twice_is_a_bug_that_is_named() -> None:
    parts = [Part(objects=(obj("Service", "b"),)), Part(objects=(obj("Service", "b"),))]
    with pytest.raises(ValueError, match=r"planned twice: \[\('Service', 'b'\)\]"):
        Plan.of(parts)


def test_an_empty_plan_wants_nothing_and_no_look() -> None:
    plan = Plan.of([], prune=False)
    assert (plan.objects, plan.kept, plan.look_again_seconds, plan.prune) == ((), (), None, False)
