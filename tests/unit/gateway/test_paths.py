"""Which paths an engine does not serve, from `spec.engine`."""

from typing import Any

import pytest

from smallmodel_operator.gateway.paths import EMBEDDINGS, RERANK, TGI_LACKS, lacks


@pytest.mark.parametrize(
    ("engine", "expected"),
    [
        ({}, (EMBEDDINGS, RERANK)),
        ({"name": "LlamaCpp", "args": ["--pooling", "mean"]}, (EMBEDDINGS, RERANK)),
        ({"args": ["--embeddings", "--pooling", "mean"]}, (RERANK,)),
        ({"args": ["--embedding", "--pooling", "rank"]}, ()),
        ({"args": ["--reranking"]}, ()),
        ({"env": [{"name": "LLAMA_ARG_EMBEDDINGS", "value": "1"}]}, (RERANK,)),
        ({"name": "TGI"}, TGI_LACKS),
        ({"name": "VLLM"}, ()),
    ],
)
def test_paths_without_an_answer(engine: dict[str, Any], expected: tuple[str, ...]) -> None:
    assert lacks(engine) == expected
