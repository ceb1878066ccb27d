import json
from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallmodel_operator.api.conditions import Reason
from smallmodel_operator.core.facts import CHECKS, WeightsFacts
from smallmodel_operator.weights import result
from smallmodel_operator.weights.result import MAX_BYTES, MAX_WAIT, Failure, decode, encode

FACTS = WeightsFacts(
    artifact="sha256:" + "a" * 64, file="m.gguf", file_bytes=10, tensor_bytes=9, parameters=8, quantization="Q4_K_M",
    architecture="llama", context_length=2048, layers=2, embedding=64, heads=4, heads_kv=2, key_length=16,
    value_length=16, vocabulary=4, feed_forward=256, licence="apache-2.0", name="Bot", checks=CHECKS,
)  # fmt: skip


def test_facts_come_back_as_they_were() -> None:
    assert decode(encode(FACTS)) == FACTS


@given(st.text(max_size=3000), st.booleans(), st.integers(0, MAX_WAIT))
def test_failures_come_back_and_always_fit(message: str, passing: bool, after: int) -> None:
    text = encode(Failure(Reason.WEIGHTS_INVALID, message, passing, after))
    assert len(text.encode()) <= MAX_BYTES
    said = decode(text)
    assert isinstance(said, Failure)
    assert (said.reason, said.passing, said.after_seconds) == (Reason.WEIGHTS_INVALID, passing, after)
    assert said.message[:400] == message[:400]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "7",
        "{}",
        "Killed",
        '{"facts": {}}',
        '{"facts": []}',
        '{"error": {}}',
        '{"error": {"reason": "NoSuchReason", "message": "x"}}',
        "[" * 100_000,
        json.dumps({"facts": {**asdict(FACTS), "layers": -1}}),
        json.dumps({"facts": {**asdict(FACTS), "layers": True}}),
        json.dumps({"facts": {**asdict(FACTS), "layers": 2**63}}),
        json.dumps({"facts": {**asdict(FACTS), "layers": "2"}}),
        json.dumps({"facts": {**asdict(FACTS), "name": "x" * 600}}),
        json.dumps({"facts": {**asdict(FACTS), "name": 7}}),
    ],
)
def test_what_is_no_result_is_none(text: str) -> None:
    assert decode(text) is None


@given(st.recursive(st.none() | st.integers() | st.text(max_size=5), lambda c: st.dictionaries(st.text(max_size=5), c)))
def test_any_json_is_survived(data: Any) -> None:
    decode(json.dumps({"facts": data}))
    decode(json.dumps({"error": data}))
    decode(json.dumps(data))


def test_fields_of_a_newer_release_are_ignored_and_optional_ones_may_lack() -> None:
    newer = {**asdict(FACTS), "colour": "blue"}
    newer.pop("licence")
    said = decode(json.dumps({"facts": newer}))
    assert isinstance(said, WeightsFacts)
    assert said.licence == ""


@pytest.mark.parametrize("after", [-1, MAX_WAIT + 1, 1.5, "1", True, None])
def test_a_pause_that_is_none_counts_for_nothing(after: Any) -> None:
    error = {"reason": "SourceRateLimited", "message": "No.", "passing": True, "afterSeconds": after}
    said = decode(json.dumps({"error": error}))
    assert isinstance(said, Failure)
    assert said.after_seconds == 0


def test_what_was_evicted_comes_back_and_always_fits() -> None:
    said = result.Evicted(tuple(f"sha256-{n:064x}" for n in range(60)), 2**40, 7)
    text = result.encode(said)
    assert len(text) <= result.MAX_BYTES
    assert result.evicted(text) == result.Evicted(said.folders[: result.MAX_FOLDERS], 2**40, 7)
    assert result.decode(text) is None
    assert result.evicted(result.encode(FACTS)) is None


@given(st.recursive(st.none() | st.integers() | st.text(), lambda c: st.lists(c) | st.dictionaries(st.text(), c)))
def test_any_json_in_place_of_it_is_survived(data: Any) -> None:
    for text in (json.dumps(data), json.dumps({"evicted": data}), json.dumps({"evicted": {"folders": data}})):
        found = result.evicted(text)
        assert found is None or isinstance(found, result.Evicted)
