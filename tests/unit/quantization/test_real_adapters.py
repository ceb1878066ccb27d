"""What llama-server takes for LoRA adapters, beside what the estimate counts for them."""

from dataclasses import replace
from pathlib import Path

import gguf
import numpy as np
import pytest
from hack.true_size.server import serving
from hack.true_size.shapes import SHAPES
from hack.true_size.write import write

from smallmodel_operator.cli.inspect_adapters import size

pytestmark = pytest.mark.long
SHAPE = replace(
    SHAPES["8b"], layers=8, embedding=1024, feed_forward=2048, heads=8, heads_kv=4, head=128, vocabulary=1000, merges=90
)
RANK = 512
COUNT = 3


def adapter(file: Path) -> None:
    """40 MiB of zeros; what they are worth is not asked here."""
    writer = gguf.GGUFWriter(file, SHAPE.architecture)
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", float(RANK))
    for layer in range(SHAPE.layers):
        for name, columns in (("ffn_down", SHAPE.feed_forward), ("attn_output", SHAPE.heads * SHAPE.head)):
            for part, shape in (("lora_a", (RANK, columns)), ("lora_b", (SHAPE.embedding, RANK))):
                writer.add_tensor(f"blk.{layer}.{name}.weight.{part}", np.zeros(shape, np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.fixture(params=["F16", "Q4_K_M"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    write(SHAPE, request.param, tmp_path / "base.gguf")
    for number in range(COUNT):
        adapter(tmp_path / f"{number}.gguf")
    return tmp_path


def peak(folder: Path, count: int) -> int:
    """Highest resident memory with so many adapters."""
    flags = ("--lora-scaled", ",".join(f"/mnt/{n}.gguf:0" for n in range(count))) if count else ()
    with serving(folder / "base.gguf", 512, 1, *flags) as server:
        server.wait()
        server.look()
        return server.peak_resident


def test_they_take_what_is_counted_for_them(folder: Path) -> None:
    counted = sum(size(str(n), folder / f"{n}.gguf") for n in range(COUNT))
    assert peak(folder, COUNT) - peak(folder, 0) == pytest.approx(counted, rel=0.05)
