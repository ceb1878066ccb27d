"""A running template moves with the user's wish only, never because another operator version runs."""

from dataclasses import fields
from typing import Any

import pytest
from tests.fakes.objects import request

from smallmodel_operator.api.names import ANNOTATION_INPUTS, ANNOTATION_REVISION
from smallmodel_operator.core.engine import Accelerator
from smallmodel_operator.serving import build, revisions
from smallmodel_operator.serving.types import ServingRequest

CHANGES: dict[str, Any] = {
    "name": "other",
    "namespace": "elsewhere",
    "engine_image": "registry.test/llama:2",
    "context_size": 8192,
    "parallel_slots": 2,
    "args": ("--jinja",),
    "env": (("A", "1"),),
    "cpu_request": "2",
    "cpu_limit": "4",
    "threads": 4,
    "memory_limit": "2Gi",
    "node_selector": {"disk": "ssd"},
    "tolerations": ({"key": "gpu"},),
    "artifact": "sha256:" + "b" * 64,
    "volume": {"name": "weights", "persistentVolumeClaim": {"claimName": "c"}},
    "mount": {"name": "weights", "mountPath": "/weights", "subPath": "x"},
    "model_path": "/weights/other.gguf",
    "engine": "VLLM",
    "accelerator": Accelerator("nvidia.com/gpu", 1, 2**34),
    "runtime_class": "nvidia",
    "quantization": "AWQ",
}
FIRST_RELEASE = "5b57dff93e0f64d0ae420dc6068f206ed9f3d4c3e3c27a14b08680da27210f3e"
UNWATCHED = {"replicas", "memory_request", "memory_declared"}


def newer(req: ServingRequest) -> dict[str, Any]:
    """A template no released operator makes."""
    return {**revisions.revision_1(req), "newer": True}


@pytest.fixture
def upgraded(monkeypatch: pytest.MonkeyPatch) -> None:
    """An operator that knows a second revision."""
    monkeypatch.setattr(revisions, "REVISIONS", {1: revisions.revision_1, 2: newer})
    monkeypatch.setattr(revisions, "LATEST", 2)


def test_every_field_is_either_an_input_or_known_not_to_be() -> None:
    known = {f.name for f in fields(ServingRequest)}
    assert known == set(CHANGES) | UNWATCHED
    assert known == {*revisions.WISH, *revisions.LATER, *revisions.NOT_WISHED}


def test_a_hash_of_the_first_release_is_still_true() -> None:
    assert revisions.inputs(request()) == FIRST_RELEASE


@pytest.mark.parametrize("text", ["", "garbage", "1Mi", "-1", "9" * 400])
def test_a_recorded_memory_somebody_wrote_is_not_believed(text: str) -> None:
    live = build.deployment(request(), None)
    live["metadata"]["annotations"][revisions.ANNOTATION_MEMORY] = text
    _, recorded = revisions.frozen(request(memory_request="600Mi"), live)
    assert recorded.memory_request == "600Mi"


@pytest.mark.parametrize("field", sorted(CHANGES))
def test_each_wish_changes_the_inputs(field: str) -> None:
    assert revisions.inputs(request()) != revisions.inputs(request(**{field: CHANGES[field]}))


def test_replicas_and_derived_memory_do_not_change_the_inputs() -> None:
    assert revisions.inputs(request()) == revisions.inputs(request(replicas=5, memory_request="9Gi"))


def test_declared_memory_changes_the_inputs() -> None:
    declared = request(memory_declared=True)
    assert revisions.inputs(declared) != revisions.inputs(request())
    assert revisions.inputs(declared) != revisions.inputs(request(memory_declared=True, memory_request="9Gi"))


def test_order_of_maps_does_not_change_the_inputs() -> None:
    a, b = request(node_selector={"a": "1", "b": "2"}), request(node_selector={"b": "2", "a": "1"})
    assert revisions.inputs(a) == revisions.inputs(b)


def test_a_first_deployment_takes_the_latest(upgraded: None) -> None:
    assert revisions.frozen(request(), None) == (2, request())


def test_the_same_wish_keeps_the_recorded_revision_and_derived_memory(upgraded: None) -> None:
    live = build.deployment(request(), None)
    live["metadata"]["annotations"][ANNOTATION_REVISION] = "1"
    revision, recorded = revisions.frozen(request(memory_request="9Gi"), live)
    assert revision == 1
    assert recorded.memory_request == "512Mi"
    again = build.deployment(request(memory_request="9Gi", replicas=4), live)
    assert again["spec"]["template"] == revisions.revision_1(request())
    assert again["spec"]["replicas"] == 4


@pytest.mark.parametrize("field", sorted(CHANGES))
def test_a_changed_wish_moves_to_the_latest_and_to_fresh_memory(upgraded: None, field: str) -> None:
    live = build.deployment(request(), None)
    live["metadata"]["annotations"][ANNOTATION_REVISION] = "1"
    wish = request(memory_request="9Gi", **{field: CHANGES[field]})
    assert revisions.frozen(wish, live) == (2, wish)


@pytest.mark.parametrize("recorded", ["", "0", "99", "x", "-1", "²", "9" * 5000])
def test_an_unknown_recorded_revision_gives_way_to_the_latest(recorded: str) -> None:
    live = build.deployment(request(), None)
    live["metadata"]["annotations"][ANNOTATION_REVISION] = recorded
    assert revisions.frozen(request(), live)[0] == revisions.LATEST


@pytest.mark.parametrize("annotations", [{}, {ANNOTATION_INPUTS: "?"}])
def test_a_deployment_without_our_record_gets_the_latest(annotations: dict[str, str]) -> None:
    assert revisions.frozen(request(), {"metadata": {"annotations": annotations}}) == (revisions.LATEST, request())
    assert revisions.frozen(request(), {"metadata": {}}) == (revisions.LATEST, request())


def test_building_from_what_was_built_is_a_fixed_point() -> None:
    first = build.deployment(request(), None)
    assert build.deployment(request(memory_request="9Gi"), first) == first


def test_the_template_of_release_0_1_0_does_not_change() -> None:
    """A change here restarts every model at an upgrade: add a revision instead."""
    assert revisions.digest(revisions.revision_1(request())) == RELEASED


def test_optional_parts_appear_only_when_asked_for() -> None:
    bare = revisions.revision_1(request())["spec"]
    assert "nodeSelector" not in bare
    assert "tolerations" not in bare
    assert "limits" not in bare["containers"][0]["resources"]
    full = revisions.revision_1(
        request(node_selector={"a": "b"}, tolerations=({"key": "k"},), cpu_limit="2", memory_limit="1Gi")
    )["spec"]
    assert full["nodeSelector"] == {"a": "b"}
    assert full["tolerations"] == [{"key": "k"}]
    assert full["containers"][0]["resources"]["limits"] == {"cpu": "2", "memory": "1Gi"}


RELEASED = "4589a86e60568fe70e81ae66ea78a9f10d7645f1287edbbb2197518a070471a4"
