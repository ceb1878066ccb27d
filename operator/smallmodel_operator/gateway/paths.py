"""Which of the gateway's paths a model's engine does not serve: said at the door, in the gateway's own words."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

EMBEDDINGS: Final = "/v1/embeddings"
RERANK: Final = "/v1/rerank"
TGI_LACKS: Final = ("/v1/responses", RERANK, EMBEDDINGS)
SAID_EMBEDDINGS: Final = frozenset({"--embedding", "--embeddings", "LLAMA_ARG_EMBEDDINGS"})
SAID_RERANK: Final = frozenset({"--rerank", "--reranking", "LLAMA_ARG_RERANKING"})
"""llama.cpp's server takes it as a wish for embeddings, too."""


def lacks(engine: Mapping[str, Any]) -> tuple[str, ...]:
    """Paths that `spec.engine` has no answer for; what depends on the weights the engine says itself."""
    name = engine.get("name", "LlamaCpp")
    if name == "TGI":
        return TGI_LACKS
    if name != "LlamaCpp":
        return ()
    said = set(_said(engine))
    if said & SAID_RERANK:
        return ()
    if said & SAID_EMBEDDINGS:
        return () if "rank" in said else (RERANK,)  # --pooling rank
    return (EMBEDDINGS, RERANK)


def _said(engine: Mapping[str, Any]) -> Iterator[str]:
    """Arguments, and names of environment variables."""
    yield from map(str, engine.get("args") or ())
    yield from (str(variable.get("name")) for variable in engine.get("env") or ())
