"""What a replica of llama.cpp's server needs in memory, from the weights' header alone. Pure arithmetic, in bytes.

Weights are mapped: their pages count for the pod once touched, and every one is. The K/V cache is allocated for the
whole context of all slots at start. The compute buffer grows with the micro batch and the width of a layer.
"""

from dataclasses import dataclass
from typing import Final

from smallmodel_operator.core.facts import WeightsFacts

KV_BYTES: Final = 2
"""llama.cpp keeps keys and values as F16 unless told otherwise."""
MICRO_BATCH: Final = 512
"""llama.cpp's default `--ubatch-size`: tokens computed in one step."""
FLOAT_BYTES: Final = 4
MASK_BYTES: Final = 2
"""The attention mask is F16: one number for each token of a micro batch and each token of a slot's context."""
PROCESS_BYTES: Final = 24 * 2**20
"""Code, threads, HTTP server: measured, see docs/explanation/memory.md."""
TOKEN_BYTES: Final = 340
"""Tokenizer tables for each token of the vocabulary (text, hash maps, merges): measured likewise."""


@dataclass(frozen=True, slots=True)
class MemoryEstimate:
    """Parts of a replica's memory, in bytes."""

    weights: int
    kv_cache: int
    compute: int
    process: int

    @property
    def total(self) -> int:
        return self.weights + self.kv_cache + self.compute + self.process


def estimate(facts: WeightsFacts, context_size: int, parallel_slots: int) -> MemoryEstimate:
    """Memory of one replica serving `parallel_slots` requests of up to `context_size` tokens each."""
    context = context_size * parallel_slots
    per_token = facts.layers * facts.heads_kv * (facts.key_length + facts.value_length) * KV_BYTES
    batch = min(MICRO_BATCH, context_size)
    # What llama.cpp's graph keeps for each token of a micro batch, fitted to the buffers it reports: exact to 0.1 %
    # for 0.5B, 3B and 8B shapes with flash attention, which it takes by itself on every CPU.
    activations = batch * FLOAT_BYTES * (5 * facts.embedding + 3 * facts.feed_forward)
    mask = batch * context_size * MASK_BYTES
    logits = facts.vocabulary * FLOAT_BYTES * parallel_slots
    return MemoryEstimate(
        weights=facts.tensor_bytes,
        kv_cache=per_token * context,
        compute=activations + mask + logits,
        process=PROCESS_BYTES + facts.vocabulary * TOKEN_BYTES,
    )
