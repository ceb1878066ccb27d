"""Which nodes a pod with given tolerations can come to: the rules of Kubernetes' scheduler."""

from typing import Any

import pytest

from smallmodel_operator.boundary.nodes import nodes, united

GPU = {"key": "gpu", "value": "a100", "effect": "NoSchedule"}


def node(name: str, *taints: dict[str, Any]) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": {"taints": list(taints)} if taints else {}}


@pytest.mark.parametrize(("taint", "toleration", "open_"), [
    (GPU, {"key": "gpu", "operator": "Equal", "value": "a100", "effect": "NoSchedule"}, True),
    (GPU, {"key": "gpu", "value": "a100"}, True),  # Equal is the default, and no effect is every effect
    (GPU, {"key": "gpu", "operator": "Exists", "effect": ""}, True),
    (GPU, {"key": "", "operator": "Exists"}, True),
    (GPU, {"key": "gpu", "value": "h100"}, False),
    (GPU, {"key": "gpu", "operator": "Exists", "effect": "NoExecute"}, False),
    (GPU, {"key": "other", "operator": "Exists"}, False),
    (GPU, {"key": "", "operator": "Equal"}, False),
    ({"key": "slow", "effect": "NoExecute"}, {"key": "slow", "value": ""}, True),
    ({"key": "slow", "effect": "PreferNoSchedule"}, {"key": "x"}, True),
])  # fmt: skip
def test_a_taint_and_a_toleration(taint: dict[str, Any], toleration: dict[str, Any], open_: bool) -> None:
    found = nodes([node("n", taint)], [toleration])
    assert found.names == {"n"}
    assert found.closed == (set() if open_ else {"n"})


def test_every_taint_has_to_be_tolerated() -> None:
    other = {"key": "b", "effect": "NoSchedule"}
    assert nodes([node("free"), node("both", GPU, other)], [{"key": "gpu", "operator": "Exists"}]).closed == {"both"}


def test_tolerations_are_united_each_once() -> None:
    one, two = {"key": "a"}, {"key": "b"}
    assert united([one], [two, one], []) == [one, two]
