"""How fast a processor could write tokens if it did nothing but read the weights once for each."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from smallmodel_operator.cli.cpu import has_amx
from smallmodel_operator.core.facts import WeightsFacts
from smallmodel_operator.weights import describe, gguf

BLOCK_BYTES = 512 * 2**20
"""Read by each thread: more than any cache holds."""
ROUNDS = 5


def bandwidth(threads: int) -> float:
    """Bytes a second that so many threads read from memory together; the best of some rounds."""
    blocks = [np.ones(BLOCK_BYTES // 8, dtype=np.int64) for _ in range(threads)]
    best = 0.0
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(ROUNDS):
            began = time.monotonic()
            list(pool.map(np.sum, blocks))
            best = max(best, threads * BLOCK_BYTES / (time.monotonic() - began))
    return best


def facts_of(file: Path) -> WeightsFacts:
    with file.open("rb") as stream:
        return describe.facts(gguf.read_header(stream, file.stat().st_size), "", file.name, amx=has_amx())


def bytes_a_token(facts: WeightsFacts, *, tied: bool) -> int:
    """Weights that are read for one token: all, but for an embedding of which only one row is."""
    return facts.tensor_bytes - (0 if tied else facts.token_embedding_bytes)
