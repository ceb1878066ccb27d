"""Numbers of adapters: what a request names is the same in the pods before and after a change, or nothing."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fakes.objects import request

from smallmodel_operator.core.engine import Adapter
from smallmodel_operator.serving import adapters, build, revisions

NAMES = st.lists(st.sampled_from(["a", "b", "c", "d", "e", "f"]), unique=True).map(sorted)
IMAGE = "registry.test/adapters@sha256:" + "b" * 64


def made(*names: str) -> tuple[Adapter, ...]:
    return tuple(Adapter(n, IMAGE, f"{n}.gguf") for n in sorted(names))


def deployed(order: tuple[str, ...], *names: str) -> dict[str, Any]:
    return build.deployment(request(adapters=made(*names), adapter_order=order), None)


@pytest.mark.parametrize(
    ("before", "wanted", "after"),
    [
        ((), ["a", "b"], ("a", "b")),
        (("a", "b"), ["a", "b"], ("a", "b")),
        (("b", "c"), ["a", "b", "c"], ("b", "c", "a")),
        (("a", "b", "c"), ["b", "c"], ("", "b", "c")),
        (("a", "b"), ["a"], ("a",)),
        (("a", "b"), ["b", "c"], ("", "b", "c")),
        (("", "b"), ["b", "c"], ("c", "b")),
        (("", "b", "c"), ["a", "b", "c", "d"], ("a", "b", "c", "d")),
        (("a",), [], ()),
    ],
)
def test_places(before: tuple[str, ...], wanted: list[str], after: tuple[str, ...]) -> None:
    assert adapters.places(before, wanted) == after


@settings(max_examples=100)
@given(st.lists(NAMES, min_size=1, max_size=8))
def test_no_number_means_two_adapters_in_pods_that_stand_side_by_side(wishes: list[list[str]]) -> None:
    order: tuple[str, ...] = ()
    for wanted in wishes:
        after = adapters.places(order, wanted)
        assert sorted(n for n in after if n) == wanted
        assert adapters.places(after, wanted) == after, "asked again, nothing moves"
        for old, new in zip(order, after, strict=False):
            assert not old or new in (old, ""), "a name that was there keeps its number, or the number is free"
        assert len(after) <= 12
        order = after


@settings(max_examples=50)
@given(NAMES, NAMES)
def test_the_numbers_stand_in_the_pods_themselves(first: list[str], second: list[str]) -> None:
    order = adapters.places(adapters.places((), first), second)
    assert adapters.recorded(deployed(order, *second)) == order


def test_all_start_at_scale_0_and_a_free_place_is_held() -> None:
    flag, value = adapters.arguments(made("b", "c"), ("", "b", "c"))
    assert flag == "--lora-scaled"
    assert value == "/adapters//b/b.gguf:0,/adapters/b/b.gguf:0,/adapters/c/c.gguf:0"


@pytest.mark.parametrize("live", [None, {}, {"spec": {"template": {"spec": {"containers": []}}}}, deployed(())])
def test_without_adapters_nothing_is_recorded(live: Any) -> None:
    assert adapters.recorded(live) == ()


def test_twenty_adapters_of_one_image_are_one_volume() -> None:
    names = [f"n{i}" for i in range(20)]
    volumes, mounts = adapters.volumes(made(*names))
    assert [v["image"]["reference"] for v in volumes] == [IMAGE]
    assert len({m["mountPath"] for m in mounts}) == 20
    assert all(m["readOnly"] for m in mounts)


def test_the_number_is_no_wish_and_the_adapters_are() -> None:
    plain = request(adapters=made("a", "b"))
    ordered = request(adapters=made("a", "b"), adapter_order=("b", "a"))
    assert revisions.inputs(plain) == revisions.inputs(ordered)
    assert revisions.inputs(plain) != revisions.inputs(request(adapters=made("a")))
    other = (Adapter("a", IMAGE.replace("b", "c"), "a.gguf"),)
    assert revisions.inputs(request(adapters=made("a"))) != revisions.inputs(request(adapters=other))


def ready(live: Any, order: tuple[str, ...], before: Any = None, *, settled: bool) -> dict[str, Any]:
    return adapters.status(live, order, before or {}, settled=settled)


def names(said: dict[str, Any]) -> list[str]:
    return [entry["name"] for entry in said["adapters"] if entry["ready"]]


def test_an_adapter_is_ready_once_every_pod_has_it_and_stays_so() -> None:
    live, new = deployed(("a",), "a"), ("a", "b")
    assert ready(None, new, settled=True)["adapters"] == [
        {"name": "a", "id": 0, "ready": False},
        {"name": "b", "id": 1, "ready": False},
    ]
    said = ready(live, new, {"adapters": [{"name": "a", "id": 0, "ready": True}]}, settled=True)
    assert names(said) == ["a"], "the template does not have b yet"
    rolling = ready(deployed(new, "a", "b"), new, said, settled=False)
    assert names(rolling) == ["a"], "old pods have no b"
    assert names(ready(deployed(new, "a", "b"), new, rolling, settled=True)) == ["a", "b"]


def test_what_got_another_number_waits_again() -> None:
    before = {"adapters": [{"name": "b", "id": 3, "ready": True}]}
    assert names(ready(deployed(("b",), "b"), ("b",), before, settled=False)) == []


def test_the_last_one_that_went_is_said_once() -> None:
    before = {"adapters": [{"name": "a", "id": 0, "ready": True}]}
    assert ready(deployed(("a",), "a"), (), before, settled=True) == {"adapters": []}
    assert ready(deployed(()), (), {"adapters": []}, settled=True) == {}


def test_a_place_that_is_free_takes_the_memory_of_the_file_that_holds_it() -> None:
    sizes = {"hr": 10, "legal": 100}
    assert adapters.memory(sizes, ("hr", "legal")) == 110
    assert adapters.memory(sizes, ("", "legal")) == 200
    assert adapters.memory(sizes, ("hr", "", "legal")) == 120
    assert adapters.memory({}, ()) == 0
