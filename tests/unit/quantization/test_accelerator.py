"""Memory of accelerators: arithmetic by hand, and a refusal with the numbers."""

from dataclasses import replace

import pytest

from smallmodel_operator.api.conditions import Condition, Reason, Report
from smallmodel_operator.core.engine import LLAMA_CPP, SAFETENSORS, VLLM, Accelerator
from smallmodel_operator.core.facts import WeightsFacts
from smallmodel_operator.core.outcome import Refused
from smallmodel_operator.core.plan import Part
from smallmodel_operator.quantization import accelerator
from smallmodel_operator.quantization.decide import MemoryVerdict
from smallmodel_operator.quantization.memory import estimate

GIB = 2**30
THREE = WeightsFacts(
    artifact="a", file="m", file_bytes=6 * GIB, tensor_bytes=6 * GIB, parameters=3_000_000_000, quantization="BF16",
    architecture="LlamaForCausalLM", context_length=131072, layers=28, embedding=3072, heads=24, heads_kv=8,
    key_length=128, value_length=128, vocabulary=128256, feed_forward=8192, format=SAFETENSORS,
)  # fmt: skip
MAIN = MemoryVerdict(GIB, 0, Part(reports=(Report(Condition.FITS_MEMORY, True, Reason.DECLARED, "1 GiB requested."),)))


def fit(devices: Accelerator, engine: str = VLLM, slots: int = 4) -> tuple[MemoryVerdict, int]:
    facts = THREE if engine == VLLM else replace(THREE, format="GGUF", quantization="F16")
    return accelerator.fit(MAIN, facts, devices, engine=engine, context_size=4096, parallel_slots=slots)


def test_weights_and_cache_are_what_the_header_says() -> None:
    need = accelerator.needs(THREE, 4096, 4, 1)
    assert need.weights == 6 * GIB
    assert need.context == 28 * 8 * 256 * 2 * 4096 * 4, "keys and values of 28 layers, F16, four slots"
    assert need.compute > accelerator.DRIVER_BYTES
    assert accelerator.needs(THREE, 4096, 4, 2).compute - need.compute == accelerator.DRIVER_BYTES


def test_llama_cpp_needs_there_what_it_needs_of_main_memory_elsewhere() -> None:
    facts = replace(THREE, format="GGUF")
    parts, need = estimate(facts, 4096, 4), accelerator.needs(facts, 4096, 4, 1)
    assert (need.weights, need.context) == (parts.weights, parts.context)
    assert need.compute == parts.compute + accelerator.DRIVER_BYTES


@pytest.mark.parametrize("engine", [VLLM, LLAMA_CPP])
def test_what_fits_is_said_with_the_numbers(engine: str) -> None:
    verdict, used = fit(Accelerator("nvidia.com/gpu", 1, 24 * GIB), engine)
    (report,) = verdict.part.reports
    assert report.status is True
    assert report.message.startswith("1 GiB requested. On the accelerators: ")
    assert "1 x nvidia.com/gpu of 24" in report.message
    assert 6 * GIB < used < 24 * GIB


def test_what_does_not_fit_is_refused_with_the_numbers_and_the_way_out() -> None:
    with pytest.raises(Refused) as refused:
        fit(Accelerator("nvidia.com/gpu", 1, 8 * GIB))
    assert refused.value.reason is Reason.DOES_NOT_FIT
    for words in ("weights 6", "1 x nvidia.com/gpu of 8", "90 % (7.2", "`spec.engine.contextSize`"):
        assert words in refused.value.message


def test_two_devices_hold_what_one_does_not() -> None:
    assert fit(Accelerator("nvidia.com/gpu", 2, 8 * GIB))[1] > 8 * GIB


def test_vllm_leaves_a_part_of_each_device_alone() -> None:
    need = accelerator.needs(THREE, 4096, 4, 1).total
    exact = Accelerator("nvidia.com/gpu", 1, need)
    with pytest.raises(Refused):
        fit(exact)
    llama = accelerator.needs(replace(THREE, format="GGUF"), 4096, 4, 1).total
    assert fit(Accelerator("nvidia.com/gpu", 1, llama), LLAMA_CPP)[1] == llama


def test_without_devices_nothing_is_said() -> None:
    assert accelerator.fit(MAIN, THREE, None, engine=LLAMA_CPP, context_size=1, parallel_slots=1) == (MAIN, 0)
