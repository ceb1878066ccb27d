"""The view of the watches, corrected by our own writes until the watch has caught up."""

from typing import Any

import pytest
from tests.fakes.clock import Clock

from smallmodel_operator.api.names import LABEL_ROLE
from smallmodel_operator.cluster.children import FORGET_SECONDS, Children, owned, pack, slim
from smallmodel_operator.cost.share import requests_of

MODEL = ("support", "bot")
KEY = ("Service", "bot")


def service(version: int, uid: str = "s1", owner: str = "u", **more: Any) -> dict[str, Any]:
    meta = {"name": "bot", "uid": uid, "resourceVersion": str(version), "ownerReferences": [{"uid": owner}]}
    return {"kind": "Service", "metadata": meta, **more}


@pytest.fixture
def children(clock: Clock) -> Children:
    return Children(clock)


def watched(children: Children, *seen: dict[str, Any]) -> None:
    children.indices = {"Service": {MODEL: list(seen)}}


def test_what_the_watch_shows_is_there(children: Children) -> None:
    watched(children, service(5))
    assert children.of(MODEL, "u") == {KEY: service(5)}


def test_objects_of_another_owner_are_not_ours(children: Children) -> None:
    watched(children, service(5, owner="someone"))
    assert children.of(MODEL, "u") == {}


def test_a_write_counts_before_the_watch_shows_it(children: Children) -> None:
    watched(children)
    children.wrote(MODEL, KEY, service(7))
    assert children.of(MODEL, "u") == {KEY: service(7)}
    watched(children, service(6))
    assert children.of(MODEL, "u") == {KEY: service(7)}, "an older view does not count"
    watched(children, service(8, status="newer"))
    assert children.of(MODEL, "u") == {KEY: service(8, status="newer")}


def test_versions_are_numbers_not_text(children: Children) -> None:
    children.wrote(MODEL, KEY, service(10))
    watched(children, service(9))
    assert children.of(MODEL, "u") == {KEY: service(10)}


def test_a_deletion_counts_before_the_watch_shows_it(children: Children) -> None:
    watched(children, service(5))
    children.deleted(MODEL, KEY, service(5))
    assert children.of(MODEL, "u") == {}
    watched(children)
    assert children.of(MODEL, "u") == {}


def test_an_object_made_anew_after_our_deletion_is_seen(children: Children) -> None:
    children.deleted(MODEL, KEY, service(5))
    watched(children, service(9, uid="s2"))
    assert children.of(MODEL, "u") == {KEY: service(9, uid="s2")}


def test_an_object_replaced_by_another_is_seen(children: Children) -> None:
    children.wrote(MODEL, KEY, service(7))
    watched(children, service(3, uid="s2"))
    assert children.of(MODEL, "u") == {KEY: service(3, uid="s2")}


def test_a_write_the_watch_never_shows_is_forgotten(children: Children, clock: Clock) -> None:
    """Someone deleted it between our write and the watch: it is made again."""
    watched(children)
    children.wrote(MODEL, KEY, service(7))
    clock.forward(FORGET_SECONDS + 1)
    assert children.of(MODEL, "u") == {}


def test_what_the_watch_saw_vanish_is_gone_at_once(children: Children) -> None:
    watched(children)
    children.wrote(MODEL, KEY, service(7))
    assert children.unconfirmed(MODEL)
    children.vanished(MODEL, KEY, "an earlier one")
    assert children.of(MODEL, "u") == {KEY: service(7)}
    children.vanished(MODEL, KEY, "s1")
    assert children.of(MODEL, "u") == {}
    assert not children.unconfirmed(MODEL)


def test_forgetting_a_model(children: Children) -> None:
    watched(children)
    children.wrote(MODEL, KEY, service(7))
    children.forget(MODEL)
    assert children.of(MODEL, "u") == {}


def test_pods_are_not_children_and_come_sorted(children: Children) -> None:
    pods = [{"metadata": {"name": n}} for n in ("b", "a")]
    children.indices = {"Pod": {MODEL: pods}}
    assert [p["metadata"]["name"] for p in children.pods(MODEL)] == ["a", "b"]
    assert children.of(MODEL, "u") == {}
    assert children.pods(("support", "other")) == ()


POD: dict[str, Any] = {
    "metadata": {
        "name": "bot-1",
        "namespace": "support",
        "uid": "p1",
        "resourceVersion": "3",
        "creationTimestamp": "2026-11-01T00:00:00Z",
        "labels": {LABEL_ROLE: "server", "more": "words"},
    },
    "spec": {
        "nodeName": "n",
        "containers": [{"name": "engine", "args": ["--model"], "resources": {"requests": {"cpu": "1"}}}],
        "initContainers": [{"name": "step", "restartPolicy": "Always", "resources": {}}],
        "overhead": {"memory": "1Mi"},
    },
    "status": {"phase": "Running", "conditions": [{"type": "Ready"}, {"type": "PodScheduled", "status": "True"}]},
}


def test_of_all_pods_that_is_kept_which_room_and_money_are_reckoned_from(children: Children) -> None:
    children.indices = {"Pod": {MODEL: [pack(POD)], ("support", "other"): [pack({**POD, "status": {}})]}}
    (first, pod), (second, _) = children.all_pods()
    assert (first, second) == (MODEL, ("support", "other"))
    assert pod == {
        "metadata": {
            "name": "bot-1",
            "namespace": "support",
            "uid": "p1",
            "creationTimestamp": "2026-11-01T00:00:00Z",
            "labels": {LABEL_ROLE: "server"},
        },
        "spec": {
            "nodeName": "n",
            "containers": [{"resources": {"requests": {"cpu": "1"}}}],
            "initContainers": [{"restartPolicy": "Always", "resources": {}}],
            "overhead": {"memory": "1Mi"},
        },
        "status": {"phase": "Running", "conditions": [{"type": "PodScheduled", "status": "True"}]},
    }
    assert requests_of(pod) == requests_of(POD)


def test_a_pod_is_opened_again_when_it_changed_and_not_before(children: Children) -> None:
    children.indices = {"Pod": {MODEL: [pack(POD)]}}
    before = children.all_pods()[0][1]
    assert children.all_pods()[0][1] is before
    ends = {**POD["metadata"], "deletionTimestamp": "2026-11-02T00:00:00Z"}
    children.indices = {"Pod": {MODEL: [pack({**POD, "metadata": ends})]}}
    assert children.all_pods()[0][1]["metadata"]["deletionTimestamp"] == "2026-11-02T00:00:00Z"
    children.indices = {"Pod": {}}
    assert list(children.all_pods()) == []


def test_managed_fields_are_not_kept(children: Children) -> None:
    obj = service(1)
    obj["metadata"]["managedFields"] = [{"manager": "x"}]
    assert slim(obj) == service(1)


def test_ownership_is_the_uid() -> None:
    assert owned(service(1), "u")
    assert not owned(service(1), "v")
    assert not owned({"metadata": {}}, "u")
