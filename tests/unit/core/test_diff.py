"""A difference is a field we set that the live object lacks or has otherwise; nothing else is one."""

from typing import Any

import pytest

from smallmodel_operator.core.diff import differences

CONTAINER = {
    "name": "engine",
    "image": "a",
    "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}],
    "resources": {"requests": {"cpu": "100m", "memory": "1024Mi"}, "limits": {"memory": "2Gi"}},
    "volumeMounts": [{"name": "weights", "mountPath": "/weights", "readOnly": True}],
}


def template(**changes: Any) -> dict[str, Any]:
    return {
        "spec": {
            "containers": [{**CONTAINER, **changes}],
            "volumes": [{"name": "tmp", "emptyDir": {"sizeLimit": "64Mi"}}],
        }
    }


def test_an_object_does_not_differ_from_itself() -> None:
    assert differences(template(), template()) == []


def test_what_the_server_adds_is_no_difference() -> None:
    live = template(terminationMessagePath="/dev/termination-log", securityContext={"privileged": False})
    live["spec"]["dnsPolicy"] = "ClusterFirst"
    live["status"] = {"replicas": 3}
    assert differences(template(), live) == []


@pytest.mark.parametrize(
    ("wanted", "live"),
    [
        ({"value": ""}, {}), ({"on": False}, {}), ({"n": 0}, {}), ({"x": None}, {}), ({"m": {}}, {}), ({"l": []}, {}),
        ({"egress": []}, {"egress": None}), ({"l": ()}, {"l": []}), ({"l": ("a",)}, {"l": ["a"]}),
    ],
)  # fmt: skip
def test_what_the_server_drops_is_no_difference(wanted: dict[str, Any], live: dict[str, Any]) -> None:
    assert differences(wanted, live) == []


@pytest.mark.parametrize(
    ("wanted", "live", "paths"),
    [
        ({"a": 1}, {"a": 2}, [".a"]),
        ({"a": 1}, {}, [".a"]),
        ({"a": {"b": {"c": "x"}}}, {"a": {"b": {"c": "y"}}}, [".a.b.c"]),
        ({"a": {"b": 1}}, {"a": None}, [".a"]),
        ({"a": {"b": 1}}, {"a": "text"}, [".a"]),
        ({"args": ["-a", "-b"]}, {"args": ["-a"]}, [".args"]),
        ({"args": ["-a", "-b"]}, {"args": ["-b", "-a"]}, [".args[0]", ".args[1]"]),
        ({"args": []}, {"args": ["-x"]}, [".args"]),
        ({"args": ["-x"]}, {"args": "x"}, [".args"]),
        ({"on": True}, {}, [".on"]),
        ({"n": 1}, {"n": "1"}, [".n"]),
    ],
)
def test_plain_differences_are_named_by_path(wanted: dict[str, Any], live: dict[str, Any], paths: list[str]) -> None:
    assert differences(wanted, live) == paths


@pytest.mark.parametrize(("key", "live"), [("memory", "1Gi"), ("memory", str(2**30)), ("cpu", "0.1")])
def test_quantities_are_compared_by_value(key: str, live: str) -> None:
    changed = template(
        resources={"requests": {"cpu": "100m", "memory": "1024Mi", key: live}, "limits": {"memory": "2048Mi"}}
    )
    assert differences(template(), changed) == []


def test_a_changed_or_missing_quantity_is_a_difference() -> None:
    changed = template(resources={"requests": {"cpu": "200m", "memory": "1Gi"}})
    assert differences(template(), changed) == [
        ".spec.containers[engine].resources.requests.cpu",
        ".spec.containers[engine].resources.limits.memory",
    ]


def test_a_live_quantity_that_is_none_is_compared_as_text() -> None:
    assert differences({"limits": {"memory": "1Gi"}}, {"limits": {"memory": "lots"}}) == [".limits.memory"]
    assert differences({"limits": {"memory": "lots"}}, {"limits": {"memory": "lots"}}) == []


def test_size_limit_is_a_quantity() -> None:
    live = template()
    live["spec"]["volumes"] = [{"name": "tmp", "emptyDir": {"sizeLimit": str(64 * 2**20)}}]
    assert differences(template(), live) == []
    live["spec"]["volumes"] = [{"name": "tmp", "emptyDir": {"sizeLimit": "1Gi"}}]
    assert differences(template(), live) == [".spec.volumes[tmp].emptyDir.sizeLimit"]


def test_named_lists_are_matched_by_name_not_by_place() -> None:
    wanted = {"env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]}
    assert differences(wanted, {"env": [{"name": "B", "value": "2"}, {"name": "A", "value": "1"}]}) == []
    assert differences(wanted, {"env": [{"name": "B", "value": "3"}, {"name": "A", "value": "1"}]}) == [".env[B].value"]
    assert differences(wanted, {"env": [{"name": "A", "value": "1"}]}) == [".env[B]"]


def test_a_removed_item_of_a_named_list_is_a_difference() -> None:
    wanted = {"env": [{"name": "A", "value": "1"}]}
    assert differences(wanted, {"env": [{"name": "A", "value": "1"}, {"name": "OLD", "value": "x"}]}) == [".env"]


def test_items_that_share_a_key_are_compared_by_place() -> None:
    """Two tolerations of one key: matched by key alone, one of them would differ for ever."""
    both = {"tolerations": [{"key": "gpu", "effect": "NoSchedule"}, {"key": "gpu", "effect": "NoExecute"}]}
    assert differences(both, both) == []
    assert differences(both, {"tolerations": list(reversed(both["tolerations"]))}) != []


def test_mounts_of_one_volume_are_told_apart_by_path() -> None:
    mounts = [{"name": "weights", "mountPath": "/a"}, {"name": "weights", "mountPath": "/b", "readOnly": True}]
    assert differences({"volumeMounts": mounts}, {"volumeMounts": mounts[::-1]}) == []


def test_a_resource_version_is_no_wish() -> None:
    assert differences({"metadata": {"resourceVersion": "1"}}, {"metadata": {"resourceVersion": "2"}}) == []


@pytest.mark.parametrize("field", ["selector", "podSelector", "matchLabels", "nodeSelector", "namespaceSelector"])
def test_a_key_more_in_a_selector_is_a_difference(field: str) -> None:
    """It selects fewer: a Service would answer nobody."""
    assert differences({field: {"a": "1"}}, {field: {"a": "1", "b": "2"}}) == [f".{field}"]
    assert differences({field: {}}, {field: {"b": "2"}}) == [f".{field}"]
    assert differences({field: {"a": "1"}}, {field: {"a": "1"}}) == []
    assert differences({field: {}}, {}) == []


def test_a_key_more_in_labels_is_someone_elses() -> None:
    assert differences({"labels": {"a": "1"}}, {"labels": {"a": "1", "b": "2"}}) == []
