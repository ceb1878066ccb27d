"""Sizes that are predicted for a type against files of true size, written by other code of the same rules."""

import io

import pytest
from hack.true_size.shapes import SHAPES
from hack.true_size.write import header

from smallmodel_operator.weights import gguf
from smallmodel_operator.weights.predict import size


def written(name: str, kind: str) -> gguf.Header:
    head, parts = header(SHAPES[name], kind)
    return gguf.read_header(io.BytesIO(head), len(head) + sum(-(-stored // 32) * 32 for _, stored in parts))


@pytest.mark.parametrize("kind", ["F16", "Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M"])
@pytest.mark.parametrize("name", ["0.5b", "3b", "gemma"])
def test_the_size_is_predicted_to_the_byte(name: str, kind: str) -> None:
    made = written(name, kind)
    tensors = list(written(name, "F16").shapes.items()) if kind != "F16" else list(made.shapes.items())
    assert size(kind, tensors) == (sum(made.bytes_by_type.values()), made.copies)


def test_an_own_output_is_no_embedding() -> None:
    tied = [("token_embd.weight", (256, 64)), ("blk.0.attn_v.weight", (256, 256))]
    own = [*tied, ("output.weight", (256, 64))]
    block = {"Q4_K": 144, "Q6_K": 210}
    assert size("Q4_K_M", tied)[0] == 64 * block["Q6_K"] + 256 * block["Q6_K"]
    assert size("Q4_K_M", own)[0] == 64 * (block["Q6_K"] + block["Q4_K"]) + 256 * block["Q6_K"]


def test_rows_that_fit_no_block_fall_back() -> None:
    assert size("Q4_K_M", [("blk.0.attn_q.weight", (64, 2))])[0] == 2 * 64 // 32 * 22, "Q5_0"
    assert size("Q8_0", [("blk.0.attn_q.weight", (33, 2))])[0] == 33 * 2 * 2, "F16"
    assert size("Q4_K_M", [("blk.0.attn_norm.weight", (64,))])[0] == 64 * 4, "F32"
