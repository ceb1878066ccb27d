"""What a ClusterBoundary stops, and how its spec is edited."""

from typing import Any

import pytest

from smallmodel_operator.boundary.seal import Boundary, edited


def body(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "cluster", "uid": "u", "generation": 4}, "spec": spec}


NOTHING = Boundary()
CRM = Boundary("u", 4, namespaces={"crm": ""})
ALL = Boundary("u", 4, stopped=True)


@pytest.mark.parametrize(
    ("spec", "boundary"),
    [
        ({}, Boundary("u", 4)),
        ({"inference": "Allowed", "reason": "x"}, Boundary("u", 4, reason="x")),
        ({"inference": "Stopped"}, ALL),
        ({"namespaces": [{"name": "crm", "inference": "Stopped"}, {"name": "hr", "inference": "Allowed"}]}, CRM),
        ({"namespaces": [{"name": "crm", "external": "Denied"}]}, Boundary("u", 4, denied=frozenset({"crm"}))),
        ({"external": "Denied"}, Boundary("u", 4, denied=frozenset({""}))),
    ],
)
def test_what_an_object_stops(spec: dict[str, Any], boundary: Boundary) -> None:
    found = Boundary.of(body(**spec))
    assert found == boundary
    assert Boundary.load(found.dump()) == found


def test_a_namespace_is_stopped_by_itself_or_with_all() -> None:
    assert [b.stops("crm") for b in (NOTHING, CRM, ALL)] == [False, True, True]
    assert [b.stops("hr") for b in (NOTHING, CRM, ALL)] == [False, False, True]
    allowed = Boundary.of(body(inference="Stopped", namespaces=[{"name": "hr", "inference": "Allowed"}]))
    assert allowed.stops("hr"), "a namespace can only be narrower than the cluster"


@pytest.mark.parametrize(
    ("before", "now", "more"),
    [
        (NOTHING, NOTHING, False),
        (NOTHING, CRM, True),
        (CRM, ALL, True),
        (ALL, CRM, False),
        (CRM, NOTHING, False),
        (CRM, Boundary("u", 5, reason="another", namespaces={"crm": "why"}), False),
        (CRM, Boundary("u", 5, namespaces={"hr": ""}), True),
    ],
)
def test_only_what_stops_more_cuts(before: Boundary, now: Boundary, more: bool) -> None:
    assert now.stops_more_than(before) is more


def test_the_sentence_names_all_that_is_stopped() -> None:
    assert NOTHING.sentence == ""
    both = Boundary("u", 4, stopped=True, reason="ticket 7", namespaces={"crm": "leak"})
    assert both.sentence == (
        "inference is stopped in the whole cluster (ticket 7), in namespace crm (leak): "
        "ClusterBoundary cluster, generation 4"
    )
    assert both.public == (
        "inference is stopped in the whole cluster, in namespace crm: ClusterBoundary cluster, generation 4"
    )
    assert NOTHING.public == ""


@pytest.mark.parametrize("value", [None, {}, [], {"uid": "u"}, {**CRM.dump(), "namespaces": ["crm"]}])
def test_what_is_no_boundary_is_not_read_as_one(value: Any) -> None:
    with pytest.raises((KeyError, TypeError, ValueError, AttributeError)):
        Boundary.load(value)


def test_an_edit_leaves_everything_else() -> None:
    spec = {"external": "Denied", "reason": "old", "namespaces": [{"name": "crm", "inference": "Stopped"}]}
    assert edited(spec, "", {"inference": "Stopped", "reason": "new"}) == {
        **spec,
        "inference": "Stopped",
        "reason": "new",
    }
    assert edited(spec, "crm", {"inference": "Allowed"})["namespaces"] == [{"name": "crm", "inference": "Allowed"}]
    assert edited(spec, "hr", {"inference": "Stopped"})["namespaces"] == [
        {"name": "crm", "inference": "Stopped"},
        {"name": "hr", "inference": "Stopped"},
    ]
    assert spec["namespaces"] == [{"name": "crm", "inference": "Stopped"}]


def test_a_reason_is_that_of_what_is_now() -> None:
    stopped = {"inference": "Stopped", "reason": "ticket 7"}
    assert edited(stopped, "", {"inference": "Stopped", "reason": ""}) == stopped, "said again, not taken back"
    assert edited(stopped, "", {"inference": "Allowed", "reason": ""}) == {"inference": "Allowed"}
    over = edited(stopped, "", {"inference": "Allowed", "reason": "drill over"})
    assert edited(over, "", {"inference": "Stopped", "reason": ""}) == {"inference": "Stopped"}, "not of the last time"
    assert edited(stopped, "", {"external": "Denied"}) == {**stopped, "external": "Denied"}
