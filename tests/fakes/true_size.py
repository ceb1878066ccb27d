"""Headers of models of true size, without the weights behind them."""

import io
from dataclasses import replace
from functools import cache
from unittest import mock

from hack.true_size import write
from hack.true_size.shapes import SHAPES, Shape
from hack.true_size.write import vocabulary

from smallmodel_operator.weights import gguf

PIECES = 300
"""Of the vocabulary, and one rule to merge them: to write and to read all of them takes a hundred times as long."""


@cache
def short(size: str, quantization: str) -> gguf.Header:
    """Tensors, types and sizes are true, the vocabulary is short."""

    def few(shape: Shape) -> tuple[list[bytes], list[int], list[bytes]]:
        return vocabulary(replace(shape, vocabulary=PIECES))

    with mock.patch.object(write, "vocabulary", few):
        return whole(size, quantization)


def whole(size: str, quantization: str) -> gguf.Header:
    """With its whole vocabulary, and one merge rule."""
    shape = replace(SHAPES[size], merges=min(SHAPES[size].merges, 1))
    head, parts = write.header(shape, quantization)
    return gguf.read_header(io.BytesIO(head), len(head) + sum(-(-stored // 32) * 32 for _, stored in parts))
