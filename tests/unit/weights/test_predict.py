"""Sizes that are predicted for a type against files of true size, written by other code of the same rules."""

import pytest
from tests.fakes.true_size import short

from smallmodel_operator.weights.predict import size


@pytest.mark.parametrize("kind", ["F16", "Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M"])
@pytest.mark.parametrize("name", ["0.5b", "3b", "gemma"])
def test_the_size_is_predicted_to_the_byte(name: str, kind: str) -> None:
    made = short(name, kind)
    assert size(kind, list(short(name, "F16").shapes.items())) == (sum(made.bytes_by_type.values()), made.copies)


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
