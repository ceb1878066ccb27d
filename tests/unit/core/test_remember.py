"""What an inspection found survives the way through status.weights unchanged."""

from dataclasses import replace
from typing import Any

import pytest

from smallmodel_operator.api.v1alpha1.smallmodel_status import WeightsStatus
from smallmodel_operator.core.facts import WeightsFacts
from smallmodel_operator.core.remember import facts_of, previous, weights_status

FACTS = WeightsFacts(
    artifact="sha256:" + "a" * 64, file="model.gguf", file_bytes=3_000_000, tensor_bytes=2_900_000,
    parameters=1_000_000,
    quantization="Q8_0", architecture="llama", context_length=2048, layers=4, embedding=128, heads=4, heads_kv=2,
    key_length=32, value_length=32, vocabulary=1024, feed_forward=384, licence="apache-2.0", name="Bot",
    token_embedding_bytes=139_264, checks=1,
)  # fmt: skip


@pytest.mark.parametrize("facts", [FACTS, replace(FACTS, licence="", name="", experts=8, token_embedding_bytes=0)])
def test_facts_survive_the_status(facts: WeightsFacts) -> None:
    assert facts_of({"weights": weights_status(facts, "sha256:" + "a" * 64)}) == facts


def test_every_field_is_in_the_schema_under_its_name() -> None:
    """A field the CRD does not know would be pruned, and the status written again for ever."""
    known = {f.alias or name for name, f in WeightsStatus.model_fields.items()}
    assert set(weights_status(replace(FACTS, experts=2), "sha256:x")) <= known


def test_empty_and_zero_fields_are_left_out() -> None:
    status = weights_status(replace(FACTS, licence="", experts=0), "")
    assert {"licence", "experts", "digest"}.isdisjoint(status)


@pytest.mark.parametrize(
    "status", [{}, {"weights": None}, {"weights": {}}, {"weights": {"artifact": "x"}}, {"weights": {"fileBytes": 3}}]
)
def test_an_incomplete_memory_is_none(status: dict[str, object]) -> None:
    assert facts_of(status) is None


DEPLOYED = {
    "spec": {"replicas": 1},
    "status": {"replicas": 1, "updatedReplicas": 1, "availableReplicas": 1},
}
OLDER = {"artifact": "sha256:0", "folder": "sha256-0"}
FORMER = {"artifact": "sha256:a", "folder": "sha256-a"}


@pytest.mark.parametrize(
    ("live", "kept"),
    [
        (DEPLOYED, FORMER),
        ({"spec": {"replicas": 0}}, FORMER),
        ({**DEPLOYED, "status": {"replicas": 2, "updatedReplicas": 1, "availableReplicas": 1}}, OLDER),
        ({**DEPLOYED, "status": {"replicas": 1, "updatedReplicas": 1}}, OLDER),
        (None, OLDER),
    ],
    ids=["served", "asleep", "beside-the-one-before", "never-answered", "never-ran"],
)
def test_what_served_is_what_one_goes_back_to(live: dict[str, Any] | None, kept: dict[str, str]) -> None:
    status = {"weights": {**FORMER, "previous": OLDER}}
    assert previous(status, live, replace(FACTS, artifact="sha256:b")) == kept
    assert previous(status, live, replace(FACTS, artifact="sha256:a")) == OLDER, "the same weights are no change"


def test_who_went_back_keeps_what_they_came_from() -> None:
    status = {"weights": {**FORMER, "previous": OLDER}}
    assert previous(status, DEPLOYED, replace(FACTS, artifact="sha256:0")) == FORMER
    assert previous(status, None, replace(FACTS, artifact="sha256:0")) == {}
    assert previous({}, DEPLOYED, FACTS) == {}
