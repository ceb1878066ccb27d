"""What a replica of llama.cpp's server needs in memory, from the weights' header alone. Pure arithmetic, in bytes.

Weights are mapped, and all their pages are resident once the engine has started. Tensors of some types it copies into
another layout then: the copy is memory of its own, and the pages it was made from stay resident until the kernel wants
them back. The K/V cache is allocated for the whole context of all slots at start. The compute buffer grows with the
micro batch and the width of a layer.
"""

from dataclasses import dataclass
from typing import Final

from smallmodel_operator.core.engine import CONTEXT_CHECKPOINTS
from smallmodel_operator.core.facts import WeightsFacts

KV_BYTES: Final = 2
"""llama.cpp keeps keys and values as F16 unless told otherwise."""
MICRO_BATCH: Final = 512
"""llama.cpp's default `--ubatch-size`: tokens computed in one step."""
CONTEXT_STEP: Final = 256
"""llama.cpp rounds a slot's context up to a multiple of this."""
FLOAT_BYTES: Final = 4
MASK_BYTES: Final = 2
"""The attention mask is F16: one number for each token of a micro batch and each token of a slot's context."""
PROCESS_BYTES: Final = 24 * 2**20
"""Code, threads, HTTP server: measured, see docs/explanation/memory.md."""
TOKEN_BYTES: Final = 340
"""Tokenizer tables for each token of the vocabulary, where an older inspection did not say more."""


@dataclass(frozen=True, slots=True)
class MemoryEstimate:
    """Parts of a replica's memory, in bytes."""

    weights: int
    repacked: int
    growth: int
    kv_cache: int
    checkpoints: int
    compute: int
    process: int
    adapters: int = 0

    @property
    def peak(self) -> int:
        """Highest resident memory of the engine, where there is room for it."""
        return self.kept + self.repacked

    @property
    def lasting(self) -> int:
        """What it must keep: where memory is short, the kernel drops the file's pages of which there is a copy.

        A pod may go to a node whose processor has AMX, where copies are larger than what they were copied from.
        """
        return self.kept + self.growth

    @property
    def kept(self) -> int:
        """The same where copies are as large as what they were copied from."""
        return self.weights + self.adapters + self.context + self.compute + self.process

    @property
    def context(self) -> int:
        """Everything that grows with the context."""
        return self.kv_cache + self.checkpoints


def estimate(facts: WeightsFacts, context_size: int, parallel_slots: int, adapters: int = 0) -> MemoryEstimate:
    """Memory of one replica serving `parallel_slots` requests of up to `context_size` tokens each.

    `adapters`: bytes of the tensors of LoRA adapters. llama.cpp reads all into memory as they are stored.
    """
    whole = _stepped(context_size)
    window = min(whole, _stepped(facts.sliding_window + MICRO_BATCH)) if facts.sliding_layers else 0
    kept = min(facts.sliding_window, whole)
    layer_token = facts.heads_kv * (facts.key_length + facts.value_length) * KV_BYTES
    sliding = layer_token * facts.sliding_layers * window
    slot = layer_token * (facts.layers - facts.sliding_layers) * whole + sliding
    batch = min(MICRO_BATCH, context_size)
    # What llama.cpp's graph keeps for each token of a micro batch, fitted to the buffers it reports: exact to 0.1 %
    # for 0.5B, 3B and 8B shapes with flash attention, which it takes by itself on every CPU.
    feed_forward = facts.active_feed_forward or facts.feed_forward
    activations = batch * FLOAT_BYTES * (5 * facts.embedding + 3 * feed_forward)
    mask = batch * (whole + window) * MASK_BYTES
    logits = facts.vocabulary * FLOAT_BYTES * parallel_slots
    return MemoryEstimate(
        weights=facts.tensor_bytes,
        repacked=facts.repacked_bytes,
        growth=facts.copy_growth_bytes,
        kv_cache=slot * parallel_slots,
        checkpoints=CONTEXT_CHECKPOINTS * parallel_slots * layer_token * facts.sliding_layers * kept,
        compute=activations + mask + logits,
        process=PROCESS_BYTES + (facts.tokenizer_bytes or facts.vocabulary * TOKEN_BYTES),
        adapters=adapters,
    )


def _stepped(tokens: int) -> int:
    return -(-tokens // CONTEXT_STEP) * CONTEXT_STEP
