"""What llama.cpp copies of one tensor, on processors with and without Intel's matrix unit."""

import pytest

from smallmodel_operator.weights.copies import Copies, of_tensor


@pytest.mark.parametrize(
    ("name", "block", "shape", "expected"),
    [
        ("a.weight", "Q8_0", (64, 32), Copies(0, 64 * 38, 64 * 4)),
        ("a.weight", "Q8_0", (64, 48), Copies()),
        ("a.weight", "Q4_K", (256, 32), Copies(32 * 144, 32 * 148, 32 * 4)),
        ("a.weight", "Q4_K", (256, 40), Copies(40 * 144, 40 * 144)),
        ("a.weight", "Q5_K", (256, 32), Copies(0, 32 * 180, 32 * 4)),
        ("a.weight", "Q6_K", (256, 32), Copies(0, 32 * 210)),
        ("a.weight", "F16", (64, 32), Copies(0, 64 * 32 * 2)),
        ("a.weight", "F16", (40, 32), Copies()),
        ("a.weight", "BF16", (64, 32), Copies()),
        ("a.weight", "MXFP4", (32, 32), Copies(32 * 17, 32 * 17)),
        ("a_exps.weight", "Q8_0", (64, 32, 4), Copies()),
        ("a_exps.weight", "Q4_K", (256, 32, 4), Copies(4 * 32 * 144, 4 * 32 * 144)),
        ("a.bias", "F32", (64,), Copies()),
        ("per_layer_token_embd.weight", "Q8_0", (64, 32), Copies()),
    ],
)
def test_copies_of_a_tensor(name: str, block: str, shape: tuple[int, ...], expected: Copies) -> None:
    assert of_tensor(name, block, shape) == expected
