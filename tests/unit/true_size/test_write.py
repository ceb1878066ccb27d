"""The writer of models of true size, on small shapes: what it writes is what llama.cpp and the gguf package read."""

import hashlib
from dataclasses import replace
from pathlib import Path

import gguf
import numpy as np
import pytest
from hack.true_size.shapes import FILE_TYPE, SHAPES, Shape, block_type, tensors
from hack.true_size.write import size_of, vocabulary, write

from smallmodel_operator.weights.describe import facts
from smallmodel_operator.weights.gguf import read_header

SMALL = {
    "rows of 256": replace(
        SHAPES["8b"],
        layers=8,
        embedding=256,
        feed_forward=512,
        heads=4,
        heads_kv=2,
        head=64,
        vocabulary=1000,
        merges=90,
    ),
    "rows of 224": replace(
        SHAPES["0.5b"],
        layers=8,
        embedding=224,
        feed_forward=512,
        heads=7,
        heads_kv=1,
        head=32,
        vocabulary=999,
        merges=90,
    ),
    "a window": replace(SHAPES["gemma"], layers=7, embedding=256, feed_forward=512, head=64, vocabulary=999),
    "experts": replace(SHAPES["moe"], layers=2, embedding=256, feed_forward=256, vocabulary=999, merges=90),
}


@pytest.fixture
def short_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is written is as random, and made in a tenth of the time."""
    monkeypatch.setattr("hack.true_size.write.TILE_BLOCKS", 8192)


@pytest.fixture(params=SMALL)
def shape(request: pytest.FixtureRequest) -> Shape:
    return SMALL[request.param]


@pytest.mark.usefixtures("short_tiles")
@pytest.mark.parametrize("quantization", FILE_TYPE)
def test_every_weight_is_a_small_finite_number(shape: Shape, quantization: str, tmp_path: Path) -> None:
    file = tmp_path / "m.gguf"
    assert write(shape, quantization, file) == file.stat().st_size
    reader = gguf.GGUFReader(file)
    assert len(reader.tensors) == len(tensors(shape))
    for tensor in reader.tensors:
        values = gguf.dequantize(tensor.data, tensor.tensor_type)
        assert np.isfinite(values).all(), tensor.name
        assert 0 < np.abs(values).max() < 2, tensor.name


def test_the_operator_reads_it_as_the_model_it_stands_for(shape: Shape, tmp_path: Path) -> None:
    file = tmp_path / "m.gguf"
    write(shape, "Q4_K_M", file)
    with file.open("rb") as stream:
        found = facts(read_header(stream, file.stat().st_size), "a", "m.gguf")
    assert found.quantization == "Q4_K_M"
    assert (found.layers, found.embedding, found.heads_kv) == (shape.layers, shape.embedding, shape.heads_kv)
    assert found.vocabulary == shape.vocabulary
    assert (found.sliding_window, found.sliding_layers) == ((512, 6) if shape.window else (0, 0))
    assert found.active_feed_forward == (8 * shape.feed_forward if shape.experts[0] else 0)


def test_the_same_file_is_written_each_time_and_no_two_tensors_are_alike(tmp_path: Path) -> None:
    sums = set()
    for name in ("a", "b"):
        write(SMALL["rows of 256"], "Q4_0", tmp_path / name)
        sums.add(hashlib.sha256((tmp_path / name).read_bytes()).hexdigest())
    assert len(sums) == 1
    alike = [t.data.tobytes() for t in gguf.GGUFReader(tmp_path / "a").tensors if t.data.size > 1000]
    assert len(set(alike)) == len(alike)


@pytest.mark.parametrize(
    ("size", "quantization", "gigabytes"),
    [  # as published by those who quantize the real models
        ("0.5b", "Q4_K_M", 0.398),
        ("0.5b", "Q8_0", 0.531),
        ("1b", "Q4_K_M", 0.808),
        ("1b", "Q6_K", 1.022),
        ("gemma", "F16", 0.543),
        ("moe", "Q4_K_M", 0.822),
        ("3b", "Q4_K_M", 2.02),
        ("8b", "Q4_K_M", 4.92),
        ("8b", "Q8_0", 8.54),
        ("8b", "F16", 16.07),
    ],
)
def test_the_size_is_that_of_the_real_model(size: str, quantization: str, gigabytes: float) -> None:
    shape = SHAPES[size]
    stored = sum(size_of(block_type(shape, quantization, n, d, i), d) for n, d, i in tensors(shape))
    assert stored / 1e9 == pytest.approx(gigabytes, rel=0.02)


def test_the_vocabulary_has_its_true_size_and_no_piece_twice() -> None:
    for shape in SHAPES.values():
        pieces, kinds, merges = vocabulary(shape)
        assert len(pieces) == len(set(pieces)) == len(kinds) == shape.vocabulary
        assert len(merges) == len(set(merges)) == shape.merges
