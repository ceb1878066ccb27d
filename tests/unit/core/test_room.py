"""What is free on nodes."""

from typing import Any

from smallmodel_operator.core.room import Room, largest, requested, room, size_of, taken_by

GI = 2**30


def node(name: str, memory: str, **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": spec, "status": {"allocatable": {"memory": memory}}}


def pod(node_name: str, *memory: str, phase: str = "Running", init: str = "") -> dict[str, Any]:
    def container(text: str) -> dict[str, Any]:
        return {"resources": {"requests": {"memory": text} if text else {}}}

    spec = {"nodeName": node_name, "containers": [container(m) for m in memory]}
    return {"spec": {**spec, "initContainers": [container(init)] if init else []}, "status": {"phase": phase}}


def test_what_pods_request_is_not_free() -> None:
    nodes = [node("a", "8Gi"), node("b", "4Gi")]
    assert room(nodes, taken_by([pod("a", "5Gi", "1Gi"), pod("b", "1Gi")])) == Room(8 * GI, 3 * GI)


def test_finished_and_unplaced_pods_take_nothing() -> None:
    assert room([node("a", "8Gi")], taken_by([pod("a", "5Gi", phase="Succeeded"), pod("", "3Gi")])).freest == 8 * GI


def test_a_cordoned_node_has_no_room() -> None:
    assert room([node("a", "8Gi", unschedulable=True), node("b", "1Gi")], {}) == Room(GI, GI)


def test_the_largest_node_that_a_selector_allows_cordoned_or_not() -> None:
    big = {**node("a", "8Gi", unschedulable=True), "metadata": {"name": "a", "labels": {"disk": "hdd"}}}
    small = {**node("b", "4Gi"), "metadata": {"name": "b", "labels": {"disk": "ssd", "zone": "1"}}}
    sizes = [size_of(n) for n in (big, small, node("c", "1Gi"))]
    assert largest(sizes, {}) == 8 * GI
    assert largest(sizes, {"disk": "ssd"}) == 4 * GI
    assert largest(sizes, {"disk": "ssd", "zone": "2"}) is None


def test_without_the_right_to_list_pods_only_the_size_is_known() -> None:
    assert room([node("a", "8Gi")], None) == Room(8 * GI, None)
    assert room([], {}) == Room(None, None)


def test_the_largest_init_container_counts() -> None:
    assert requested(pod("a", "1Gi", "1Gi", init="3Gi")) == 3 * GI
    assert requested(pod("a", "1Gi", "", init="1Gi")) == GI
