"""The estimate against llama.cpp's own figures and against what was measured on models of true size."""

from dataclasses import replace
from functools import cache

import pytest
from hack.true_size.shapes import FILE_TYPE, SHAPES
from hypothesis import given
from hypothesis import strategies as st
from tests.fakes.true_size import short, whole

from smallmodel_operator.core.facts import WeightsFacts
from smallmodel_operator.quantization.memory import estimate
from smallmodel_operator.weights import describe

MIB = 2**20


@cache
def facts(size: str = "0.5b", quantization: str = "Q4_0", *, amx: bool = False) -> WeightsFacts:
    """What an inspection of a model of true size finds; the number of its pieces is put in again."""
    shape, found = SHAPES[size], describe.facts(short(size, quantization), "sha256:a", "m.gguf", amx=amx)
    return replace(
        found,
        vocabulary=shape.vocabulary,
        tokenizer_bytes=describe.tokenizer_bytes(shape.vocabulary, shape.merges),
    )


def test_the_whole_vocabulary_says_the_same() -> None:
    found, read = describe.facts(whole("0.5b", "Q4_K_M"), "sha256:a", "m.gguf"), facts("0.5b", "Q4_K_M")
    assert found.vocabulary == read.vocabulary == 151_936
    same = {"file_bytes": 0, "tokenizer_bytes": 0}  # the one grows with the pieces, the other with the merge rules
    assert replace(found, **same) == replace(read, **same)


NEEDED = [
    # size, types, contextSize, parallelSlots, MiB the engine had to keep (docs/explanation/memory.md)
    ("0.5b", "Q4_0", 1024, 2, 449),
    ("0.5b", "Q8_0", 1024, 2, 619),
    ("0.5b", "Q4_0", 4096, 4, 622),
    ("0.5b", "Q4_K_M", 4096, 4, 666),
    ("0.5b", "Q5_K_M", 4096, 4, 689),
    ("0.5b", "Q8_0", 4096, 4, 792),
    ("0.5b", "F16", 4096, 4, 1236),
    ("3b", "Q4_K_M", 4096, 2, 2954),
    ("8b", "Q4_K_M", 4096, 2, 5615),
]


@pytest.mark.parametrize(("size", "types", "context", "slots", "needed"), NEEDED)
def test_what_must_stay_is_within_ten_percent_of_what_was_measured(
    size: str, types: str, context: int, slots: int, needed: int
) -> None:
    expected = estimate(facts(size, types), context, slots).kept / MIB
    assert 0.97 < expected / needed < 1.10, "never far below: too small a request gets pods killed"


PEAKS = [
    # size, types, contextSize, parallelSlots, MiB of VmHWM (docs/explanation/memory.md)
    ("0.5b", "Q4_0", 4096, 4, 829),
    ("0.5b", "Q4_K_M", 4096, 4, 708),
    ("0.5b", "Q5_K_M", 4096, 4, 703),
    ("0.5b", "Q8_0", 4096, 4, 806),
    ("0.5b", "F16", 4096, 4, 1250),
    ("3b", "Q4_K_M", 4096, 2, 4268),
    ("gemma", "Q4_K_M", 1024, 2, 409),
]


@pytest.mark.parametrize(("size", "types", "context", "slots", "peak"), PEAKS)
def test_the_peak_is_within_ten_percent_of_what_was_measured(
    size: str, types: str, context: int, slots: int, peak: int
) -> None:
    assert estimate(facts(size, types), context, slots).peak / MIB == pytest.approx(peak, rel=0.10)


WITH_AMX = [
    # size, types, contextSize, parallelSlots, MiB of VmHWM and MiB the engine had to keep on a processor with AMX
    ("0.5b", "F16", 1024, 4, 2042, 1123),
    ("0.5b", "Q8_0", 4096, 4, 1373, 877),
    ("0.5b", "Q5_K_M", 4096, 1, 786, 575),
    ("1b", "Q8_0", 2048, 1, 2860, 1630),
    ("1b", "Q4_K_M", 1024, 4, 1814, 1100),
    ("gemma", "Q6_K", 4096, 2, 735, 472),
    ("moe", "Q8_0", 1024, 2, 1613, 1509),
    ("moe", "Q4_K_M", 4096, 1, 1638, 1017),
]


@pytest.mark.parametrize(("size", "types", "context", "slots", "peak", "needed"), WITH_AMX)
def test_both_on_a_processor_with_amx(size: str, types: str, context: int, slots: int, peak: int, needed: int) -> None:
    found = estimate(facts(size, types, amx=True), context, slots)
    assert found.peak / MIB == pytest.approx(peak, rel=0.02)
    assert 0.95 < found.lasting / MIB / needed < 1.10, "5 % are added to it"


def test_an_older_inspection_still_gives_an_estimate() -> None:
    known = replace(facts(), tokenizer_bytes=0)
    assert estimate(known, 4096, 4).process > estimate(replace(known, vocabulary=1000), 4096, 4).process


REPORTED = [
    # size, contextSize, slots, and from llama.cpp's log in MiB: "KV buffer", "compute buffer" + "output buffer"
    ("0.5b", 256, 1, 3.00, 18.76 + 0.58),
    ("0.5b", 1024, 1, 12.00, 38.27 + 0.58),
    ("0.5b", 2048, 2, 48.00, 39.27 + 1.16),
    ("0.5b", 4096, 4, 192.00, 41.27 + 2.32),
    ("0.5b", 8192, 8, 768.00, 45.27 + 4.64),
    ("1b", 1024, 1, 32.00, 69.02 + 0.49),
    ("3b", 1024, 1, 112.00, 79.02 + 0.49),
    ("3b", 4096, 4, 1792.00, 82.02 + 1.96),
    ("8b", 1024, 1, 128.00, 125.02 + 0.49),
    ("8b", 4096, 4, 2048.00, 128.02 + 1.96),
    ("moe", 2048, 2, 192.00, 36.02 + 0.38),
    ("gemma", 4096, 2, 24.00 + 30.00, 23.28 + 2.00),
]


@pytest.mark.parametrize(("size", "context", "slots", "cache", "compute"), REPORTED)
def test_buffers_are_those_llama_cpp_reports(size: str, context: int, slots: int, cache: float, compute: float) -> None:
    found = estimate(facts(size), context, slots)
    assert found.kv_cache / MIB == pytest.approx(cache)
    assert found.compute / MIB == pytest.approx(compute, rel=0.005)


COPIED = [
    # size, types, and from llama.cpp's log in MiB: "CPU_REPACK model buffer" (AVX-512)
    ("0.5b", "Q4_K_M", 28.05),
    ("1b", "Q4_K_M", 445.50),
    ("gemma", "Q4_K_M", 12.66),
    ("moe", "Q4_K_M", 577.12),
    ("1b", "Q5_K_M", 0.0),
    ("1b", "Q6_K", 0.0),
    ("1b", "Q8_0", 0.0),
]


@pytest.mark.parametrize(("size", "types", "copied"), COPIED)
def test_what_is_copied_is_what_llama_cpp_reports(size: str, types: str, copied: float) -> None:
    found = estimate(facts(size, types), 1024, 1)
    assert found.repacked / MIB == pytest.approx(copied, abs=0.01)
    assert found.peak == found.kept + found.repacked


COPIED_FOR_AMX = [
    # size, types, and from llama.cpp's log in MiB: "AMX model buffer"
    ("0.5b", "F16", 942.16),
    ("0.5b", "Q8_0", 559.41),
    ("3b", "Q4_K_M", 1953.78),
]


@pytest.mark.parametrize(("size", "types", "copied"), COPIED_FOR_AMX)
def test_what_is_copied_for_amx_is_what_llama_cpp_reports(size: str, types: str, copied: float) -> None:
    found = estimate(facts(size, types, amx=True), 1024, 1)
    assert found.repacked / MIB == pytest.approx(copied, abs=0.01)
    assert found.peak == found.kept + found.repacked
    assert found.lasting == estimate(facts(size, types), 1024, 1).lasting, "a pod may go to another node"


@given(st.sampled_from(["0.5b", "gemma", "moe"]), st.integers(128, 131072), st.integers(1, 64))
def test_more_context_or_slots_never_need_less(size: str, context: int, slots: int) -> None:
    known = facts(size)
    here = estimate(known, context, slots).peak
    assert estimate(known, context + 1, slots).peak >= here
    assert estimate(known, context + 256, slots).peak > here
    assert estimate(known, context, slots + 1).peak > here
    assert isinstance(here, int)


@given(st.integers(128, 131072), st.integers(1, 64), st.integers(0, 18), st.integers(1, 8192))
def test_a_window_never_needs_more_than_the_whole_context(context: int, slots: int, layers: int, window: int) -> None:
    known = facts("gemma")
    whole = estimate(replace(known, sliding_layers=0, sliding_window=0), context, slots)
    part = estimate(replace(known, sliding_layers=layers, sliding_window=window), context, slots)
    assert part.kv_cache <= whole.kv_cache


def test_checkpoints_are_those_llama_cpp_reports_and_no_more_than_it_may_keep() -> None:
    """ "created context checkpoint 14 of 32 (... size = 7.506 MiB)", each slot as many as the operator allows."""
    assert estimate(facts("gemma"), 4096, 1).checkpoints / MIB == pytest.approx(2 * 7.506, rel=0.001)
    assert estimate(facts("gemma"), 4096, 3).checkpoints == 3 * estimate(facts("gemma"), 4096, 1).checkpoints
    assert estimate(facts("1b"), 4096, 3).checkpoints == 0


def test_the_ladder_is_ordered_by_what_must_stay() -> None:
    ladder = ("Q4_0", "Q4_K_M", "Q5_K_M", "Q6_K", "Q8_0", "F16")
    for size in ("0.5b", "1b"):
        needs = [estimate(facts(size, q), 4096, 4).lasting for q in ladder]
        assert needs == sorted(needs)
        assert set(ladder) == set(FILE_TYPE)
