import pytest
from hack.true_size.shapes import FILE_TYPE, SHAPES, block_type, tensors
from hack.true_size.write import size_of
from hypothesis import given
from hypothesis import strategies as st

from smallmodel_operator.core.facts import WeightsFacts
from smallmodel_operator.quantization.memory import estimate

MIB = 2**20


def facts(size: str = "0.5b", quantization: str = "Q4_0") -> WeightsFacts:
    """What an inspection of a model of true size finds, without writing the file."""
    shape = SHAPES[size]
    parts = [(block_type(shape, quantization, n, d, i), d) for n, d, i in tensors(shape)]
    stored = sum(size_of(kind, dimensions) for kind, dimensions in parts)
    return WeightsFacts(
        artifact="sha256:a", file="m.gguf", file_bytes=stored + 8 * MIB, tensor_bytes=stored, parameters=0,
        quantization=quantization, architecture=shape.architecture, context_length=shape.context, layers=shape.layers,
        embedding=shape.embedding, heads=shape.heads, heads_kv=shape.heads_kv, key_length=shape.head,
        value_length=shape.head, vocabulary=shape.vocabulary, feed_forward=shape.feed_forward,
    )  # fmt: skip


MEASURED = [
    # size, types, contextSize, parallelSlots, MiB needed (`make measure-memory`, docs/explanation/memory.md)
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


@pytest.mark.parametrize(("size", "types", "context", "slots", "measured"), MEASURED)
def test_within_ten_percent_of_what_was_measured(
    size: str, types: str, context: int, slots: int, measured: int
) -> None:
    expected = estimate(facts(size, types), context, slots).total / MIB
    assert 0.97 < expected / measured < 1.10, "never far below: too small a request gets pods killed"


REPORTED = [
    # size, contextSize, slots, and from llama.cpp's log in MiB: "KV buffer", "compute buffer" + "output buffer"
    ("0.5b", 256, 1, 3.00, 18.76 + 0.58),
    ("0.5b", 1024, 1, 12.00, 38.27 + 0.58),
    ("0.5b", 4096, 4, 192.00, 41.27 + 2.32),
    ("0.5b", 8192, 8, 768.00, 45.27 + 4.64),
    ("3b", 1024, 1, 112.00, 79.02 + 0.49),
    ("3b", 4096, 4, 1792.00, 82.02 + 1.96),
    ("8b", 1024, 1, 128.00, 125.02 + 0.49),
    ("8b", 4096, 4, 2048.00, 128.02 + 1.96),
]


@pytest.mark.parametrize(("size", "context", "slots", "cache", "compute"), REPORTED)
def test_buffers_are_those_llama_cpp_reports(size: str, context: int, slots: int, cache: float, compute: float) -> None:
    found = estimate(facts(size), context, slots)
    assert found.kv_cache / MIB == pytest.approx(cache)
    assert found.compute / MIB == pytest.approx(compute, rel=0.005)


@given(st.integers(128, 131072), st.integers(1, 64))
def test_more_context_or_slots_never_need_less(context: int, slots: int) -> None:
    known = facts()
    here = estimate(known, context, slots).total
    assert estimate(known, context + 1, slots).total > here
    assert estimate(known, context, slots + 1).total > here
    assert isinstance(here, int)


def test_the_ladder_is_ordered() -> None:
    totals = [estimate(facts("0.5b", q), 4096, 4).total for q in ("Q4_0", "Q4_K_M", "Q5_K_M", "Q8_0", "F16")]
    assert totals == sorted(totals)
    assert len(set(totals)) == len(FILE_TYPE)
