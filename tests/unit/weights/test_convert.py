"""Of safetensors a GGUF file: what may be read, what the Job is, and what the converter's failures mean."""

from dataclasses import replace
from typing import Any

import pytest
from tests.unit.core.test_remember import FACTS

from smallmodel_operator.api.conditions import Reason
from smallmodel_operator.core.engine import SAFETENSORS
from smallmodel_operator.core.facts import WeightsFacts
from smallmodel_operator.core.units import MIB, to_bytes
from smallmodel_operator.weights import convert, convertible
from smallmodel_operator.weights.recipe import Conversion, ConvertedSource
from smallmodel_operator.weights.refusal import BadWeights
from smallmodel_operator.weights.types import WeightsRequest

FOLDER = replace(FACTS, format=SAFETENSORS, quantization="BF16", file="bot")
WHOLE = ("config.json", "tokenizer.json", "model.safetensors")
WISH = Conversion(
    type="BF16", folder="bot", digest="d" * 64, memory=2048 * MIB, disk=2**30, threads=2, image="tools:1"
)  # fmt: skip
VOLUME = {"name": "weights", "persistentVolumeClaim": {"claimName": "models", "readOnly": True}}


def request(**changes: Any) -> WeightsRequest:
    return WeightsRequest("bot", "team", "pvc://models/bot", "", "", "operator:1", memory_declared=False, **changes)


def job(attempt: int = 0, **changes: Any) -> dict[str, Any]:
    return convert.build(request(**changes), ConvertedSource(WISH, VOLUME, "bot"), attempt, "u2")


def pod(attempt: int = 0, **changes: Any) -> dict[str, Any]:
    return dict(job(attempt, **changes)["spec"]["template"]["spec"])


def steps(attempt: int = 0, **changes: Any) -> dict[str, dict[str, Any]]:
    made = pod(attempt, **changes)
    return {c["name"]: c for c in (*made["initContainers"], *made["containers"])}


def test_the_steps_and_who_runs_them() -> None:
    assert {name: c["image"] for name, c in steps().items()} == {
        "prepare": "operator:1", "convert": "tools:1", "weights": "operator:1",
    }  # fmt: skip
    assert list(steps()) == list(convert.STEPS)
    assert job()["spec"]["activeDeadlineSeconds"] == 12 * 3600


def test_every_step_is_restricted_and_reads_the_source_only() -> None:
    for step in steps().values():
        security = step["securityContext"]
        assert security["readOnlyRootFilesystem"]
        assert not security["allowPrivilegeEscalation"]
        assert security["capabilities"] == {"drop": ["ALL"]}
        assert step["resources"]["limits"]["memory"]
        assert next(m for m in step["volumeMounts"] if m["name"] == "source")["readOnly"]
    assert pod()["automountServiceAccountToken"] is False
    assert pod()["securityContext"]["runAsNonRoot"]


def test_a_further_try_is_given_more_memory_up_to_a_limit() -> None:
    given = [to_bytes(steps(n)["convert"]["resources"]["limits"]["memory"]) // MIB for n in (0, 1, 2, 4, 9)]
    assert given == [2048, 3072, 4096, 6144, 6144]


def test_the_last_step_tells_of_types_only_where_it_is_asked() -> None:
    assert "--survey" not in steps()["weights"]["args"]
    asked = steps(survey=True, accept=("Q8_0", "Q4_K_M"))["weights"]["args"]
    assert asked[-5:] == ["--survey", "--accept", "Q8_0", "--accept", "Q4_K_M"]


def test_the_name_of_the_result_is_of_what_it_is_made_of_and_not_of_who_makes_it() -> None:
    name = WISH.name
    assert all(replace(WISH, **same).name == name for same in ({"image": "tools:2"}, {"memory": 1}, {"folder": "x"}))
    assert all(replace(WISH, **other).name != name for other in ({"digest": "e" * 64}, {"type": "F16"}))
    assert ConvertedSource(WISH, VOLUME, "a").work != ConvertedSource(WISH, VOLUME, "b").work


@pytest.mark.parametrize(
    ("shape", "least", "most"),
    [
        # 0.5B with a vocabulary of 151,936; 8B; 30B of 128 experts, of which a layer's become one tensor.
        ({"vocabulary": 151_936, "embedding": 896, "parameters": 494_000_000, "layers": 24}, 2, 4),
        ({"vocabulary": 128_256, "embedding": 4096, "parameters": 8_030_000_000, "layers": 32}, 6, 9),
        ({"vocabulary": 151_936, "embedding": 2048, "parameters": 30_500_000_000, "layers": 48}, 7, 10),
    ],
)
def test_memory_grows_with_the_largest_tensor_and_not_with_the_model(
    shape: dict[str, int], least: int, most: int
) -> None:
    assert least <= convert.memory(replace(FOLDER, **shape)) / 2**30 <= most


def test_room_for_the_result() -> None:
    assert convert.disk(replace(FOLDER, tensor_bytes=2**30)) > 2**30


@pytest.mark.parametrize("kind", ["BF16", "F16", "F32"])
def test_a_whole_folder_is_converted_in_the_type_it_is_stored_in(kind: str) -> None:
    convertible.refuse(replace(FOLDER, quantization=kind), {}, WHOLE)
    assert kind in convert.TYPES


@pytest.mark.parametrize(
    ("facts", "tokenizer", "names", "reason", "says"),
    [
        ({}, {}, ("config.json", "model.safetensors"), Reason.WEIGHTS_NOT_FOUND, "`bot` has no tokenizer"),
        ({}, {}, ("config.json", "merges.txt"), Reason.WEIGHTS_NOT_FOUND, "tokenizer.json"),
        ({}, {"auto_map": {"AutoTokenizer": ["x.Y"]}}, WHOLE, Reason.WEIGHTS_INVALID, "`tokenizer_config.json` asks"),
        ({"quantization": "AWQ"}, {}, WHOLE, Reason.WEIGHTS_INVALID, "stored as AWQ"),
        ({"quantization": "F8_E4M3"}, {}, WHOLE, Reason.WEIGHTS_INVALID, "stored as F8_E4M3"),
    ],
)
def test_what_is_not_converted_is_named(
    facts: dict[str, str], tokenizer: dict[str, Any], names: tuple[str, ...], reason: Reason, says: str
) -> None:
    with pytest.raises(BadWeights) as caught:
        convertible.refuse(replace(FOLDER, **facts), tokenizer, names)  # type: ignore[arg-type]
    assert caught.value.reason is reason
    assert says in caught.value.message


def test_no_file_that_can_run_code_is_shown_to_the_converter() -> None:
    assert not [n for n in convertible.SMALL if n.endswith((".py", ".bin", ".pt", ".pth", ".pkl"))]


def test_the_converter_finds_weights_by_the_names_it_looks_for() -> None:
    names = ("model-00001-of-00002.safetensors", "weights.safetensors")
    assert convertible.shown(names, indexed=False) == {names[0]: names[0], names[1]: f"model-{names[1]}"}
    assert convertible.shown(names, indexed=True) == {name: name for name in names}


def test_one_sum_for_all_files_whatever_their_order() -> None:
    one, other = {"a": "1" * 64, "b": "2" * 64}, {"b": "2" * 64, "a": "1" * 64}
    assert convertible.digest(one) == convertible.digest(other)
    for changed in ({"a": "2" * 64, "b": "1" * 64}, {"a": "1" * 64}, {"a": "1" * 64, "c": "2" * 64}):
        assert convertible.digest(changed) != convertible.digest(one)


TRACE = 'Traceback (most recent call last):\n  File "/app/convert_hf_to_gguf.py", line 4, in main\n'


@pytest.mark.parametrize(
    ("log", "code", "reason", "passing", "says"),
    [
        (
            "INFO:hf-to-gguf:Loading model: source\nERROR:hf-to-gguf:Model FooForCausalLM is not supported\n", 1,
            Reason.ARCHITECTURE_UNKNOWN, False, "`config.json` names the architecture 'FooForCausalLM'",
        ),
        (
            f"{TRACE}NotImplementedError: BPE pre-tokenizer was not recognized - update get_vocab_base_pre()\n", 1,
            Reason.WEIGHTS_INVALID, False, "`tokenizer.json` holds a tokenizer",
        ),
        (
            f"{TRACE}OSError: [Errno 28] No space left on device\n", 1,
            Reason.CLAIM_FULL, True, "`smallmodel-weights` became full",
        ),
        ("INFO:hf-to-gguf:blk.0\n", 137, Reason.QUANTIZATION_FAILED, True, "more memory than it was given"),
        (f"{TRACE}MemoryError\n", 1, Reason.QUANTIZATION_FAILED, True, "more memory than it was given"),
        ("", 143, Reason.QUANTIZATION_FAILED, True, "by signal 15"),
        (
            f"{TRACE}ValueError: Can not map tensor 'model.x'\nWriting: 0%\n", 1,
            Reason.QUANTIZATION_FAILED, False, "exit code 1: ValueError: Can not map tensor 'model.x'.",
        ),
        ("python3: not found\n", 127, Reason.QUANTIZATION_FAILED, False, "exit code 127: python3: not found."),
        ("", 1, Reason.QUANTIZATION_FAILED, False, "failed with exit code 1."),
    ],
)  # fmt: skip
def test_a_failure_says_the_file_or_the_cause(log: str, code: int, reason: Reason, passing: bool, says: str) -> None:
    said = convertible.failure(log, code)
    assert (said.reason, said.passing) == (reason, passing)
    assert says in said.message


def test_what_a_converter_prints_is_bounded_and_plain() -> None:
    said = convertible.failure("ValueError: \x1b[31m" + "x" * 4000, 1)
    assert len(said.message) < 400
    assert said.message.isprintable()


def test_facts_of_a_folder_are_a_wish_that_can_be_kept() -> None:
    assert isinstance(FOLDER, WeightsFacts)
    assert len(ConvertedSource(WISH, VOLUME, "bot").artifact) <= 128
