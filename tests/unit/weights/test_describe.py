import io
from typing import Any

import pytest
from tests.fakes.gguf_file import BASE, TENSORS, build

from smallmodel_operator.core.facts import WeightsFacts
from smallmodel_operator.weights.describe import facts
from smallmodel_operator.weights.gguf import BadWeights, read_header


def described(changes: dict[str, Any] | None = None, tensors: Any = TENSORS) -> WeightsFacts:
    data = build(changes, tensors)
    return facts(read_header(io.BytesIO(data), len(data)), "sha256:a", "model.gguf")


def refusal(changes: dict[str, Any]) -> str:
    with pytest.raises(BadWeights) as caught:
        described(changes)
    return caught.value.message


def test_everything_the_operator_needs_is_found() -> None:
    found = described()
    assert (found.artifact, found.file) == ("sha256:a", "model.gguf")
    assert (found.layers, found.embedding, found.heads, found.heads_kv) == (2, 64, 4, 2)
    assert (found.key_length, found.value_length) == (16, 16)
    assert (found.vocabulary, found.feed_forward, found.context_length) == (4, 256, 2048)
    assert (found.licence, found.name) == ("apache-2.0", "Support bot")
    assert found.tensor_bytes == 8 * 34 + 128 * 18 + 129 * 4


def of_architecture(name: str, **keys: Any) -> WeightsFacts:
    """The fake model as another architecture, with more keys of its own."""
    own = {k: None for k in BASE if k.startswith("llama.")}
    renamed = {f"{name}.{k.removeprefix('llama.')}": v for k, v in BASE.items() if k.startswith("llama.")}
    more = {f"{name}.{k.replace('__', '.')}": v for k, v in keys.items()}
    return described({**own, **renamed, "general.architecture": name, f"{name}.block_count": 13, **more})


def test_layers_that_keep_only_a_window() -> None:
    window = {"attention__sliding_window": 512}
    found = of_architecture("gemma3", **window)
    assert (found.sliding_window, found.sliding_layers) == (512, 11), "every sixth keeps all: 2 of 13"
    assert of_architecture("gemma3", **window, attention__sliding_window_pattern=2).sliding_layers == 7
    pattern = [True, False] * 6 + [True]
    assert of_architecture("gemma3", **window, attention__sliding_window_pattern=pattern).sliding_layers == 7


def test_a_window_the_engine_may_not_use_is_counted_in_full() -> None:
    assert of_architecture("gemma3").sliding_layers == 0
    assert of_architecture("phi3", attention__sliding_window=512).sliding_layers == 0


def test_experts_that_a_token_passes_count_together() -> None:
    assert described().active_feed_forward == 0
    one_size = of_architecture("granitemoe", expert_count=32, expert_used_count=8)
    assert one_size.active_feed_forward == 8 * one_size.feed_forward
    keys = {"expert_used_count": 4, "expert_feed_forward_length": 100, "expert_shared_feed_forward_length": 60}
    assert of_architecture("qwen2moe", **keys).active_feed_forward == 460


@pytest.mark.parametrize(
    ("tensors", "copied"),
    [
        ((("a.weight", (64, 16), "Q4_0"),), 64 * 16 // 32 * 18),
        ((("a.weight", (64, 12), "Q4_0"),), 0),
        ((("a.weight", (64, 16), "Q8_0"),), 0),
        ((("a.weight", (64,), "Q4_0"),), 0),
        ((("a_exps.weight", (64, 16, 3), "Q4_0"),), 64 * 16 * 3 // 32 * 18),
        ((("token_embd.weight", (64, 16), "Q4_0"),), 64 * 16 // 32 * 18),
        ((("token_embd.weight", (64, 16), "Q4_0"), ("output.weight", (64, 16), "Q8_0")), 0),
        ((("per_layer_token_embd.weight", (64, 16), "Q4_0"),), 0),
    ],
)
def test_tensors_the_engine_copies_are_added_up(tensors: Any, copied: int) -> None:
    assert described(tensors=tensors).repacked_bytes == copied


@pytest.mark.parametrize(
    "key",
    [
        "general.architecture",
        "llama.block_count",
        "llama.context_length",
        "llama.embedding_length",
        "llama.attention.head_count",
    ],
)
def test_a_missing_key_is_named(key: str) -> None:
    message = refusal({key: None})
    assert f"`{key}`" in message
    assert "Convert" in message


def test_optional_keys_have_sound_defaults() -> None:
    found = described({"llama.attention.head_count_kv": None, "llama.feed_forward_length": None})
    assert found.heads_kv == 4, "every head has its own keys and values"
    assert found.feed_forward == 0


def test_keys_that_differ_from_the_embedding_split_evenly_are_honoured() -> None:
    found = described({"llama.attention.key_length": 128, "llama.attention.value_length": 96})
    assert (found.key_length, found.value_length) == (128, 96)


def test_numbers_per_layer_become_an_upper_bound_of_their_sum() -> None:
    assert described({"llama.attention.head_count_kv": [4, 1]}).heads_kv == 3
    assert described({"llama.feed_forward_length": [256, 1024]}).feed_forward == 1024


@pytest.mark.parametrize("value", ["two", 2.5, True, 2**31, [1.5, 2.5]])
def test_a_senseless_number_is_refused(value: Any) -> None:
    assert "`llama.block_count`" in refusal({"llama.block_count": value})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"split.count": 3}, "split into 3 files"),
        ({"general.type": "adapter"}, "LoRA adapter"),
        ({"general.type": "mmproj"}, "projector"),
        ({"general.architecture": "clip"}, "projector"),
    ],
)
def test_what_is_no_whole_model_is_refused(changes: dict[str, Any], said: str) -> None:
    assert said in refusal(changes)


def test_one_part_of_one_is_whole() -> None:
    assert described({"split.count": 1}).layers == 2


@pytest.mark.parametrize(
    ("file_type", "weights", "name"),
    [
        (15, "Q4_0", "Q4_K_M"),  # small models fall back to other block types and keep their name
        (7, "Q8_0", "Q8_0"),
        (1, "Q4_0", "Q4_0"),  # says F16, is quantized
        (15, "F16", "F16"),  # says Q4_K_M, is not
        (1024, "Q5_0", "Q5_0"),  # guessed
        (None, "MXFP4", "MXFP4"),
        ("Q4", "Q4_0", "Q4_0"),
    ],
)
def test_the_quantization_has_the_name_people_use(file_type: Any, weights: str, name: str) -> None:
    found = described({"general.file_type": file_type}, [("blk.0.ffn_up.weight", (256, 64), weights)])
    assert found.quantization == name


def test_text_from_the_file_is_printable_and_short() -> None:
    found = described({"general.name": "a\x1b[31mb\n" + "c" * 9000, "general.license": 7})
    assert found.name.startswith("a[31mbccc")
    assert len(found.name) == 128
    assert found.licence == ""
