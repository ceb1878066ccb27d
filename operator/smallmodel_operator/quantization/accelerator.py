"""Does it fit on the accelerators of a replica: pure arithmetic, in bytes.

Calculated, not measured: no machine with a GPU was at hand. Weights and K/V cache are exact by the header; what engines
need for computing is bounded from above by the widths of a layer.
"""

from dataclasses import dataclass, replace
from typing import Final

from smallmodel_operator.api.conditions import Condition, Reason
from smallmodel_operator.core.engine import GGUF, GPU_PERCENT, LLAMA_CPP, Accelerator
from smallmodel_operator.core.facts import WeightsFacts
from smallmodel_operator.core.outcome import Refused
from smallmodel_operator.core.units import human
from smallmodel_operator.quantization.decide import MemoryVerdict
from smallmodel_operator.quantization.memory import FLOAT_BYTES, KV_BYTES, estimate

DRIVER_BYTES: Final = 512 * 2**20
"""Taken from each device by the driver and the libraries' kernels before a model is loaded."""
BLOCK: Final = 16
"""vLLM keeps the cache in blocks of so many tokens."""
BATCH_TOKENS: Final = 8192
"""Most tokens vLLM and TGI compute in one step by their own defaults."""
HALF_BYTES: Final = 2


@dataclass(frozen=True, slots=True)
class AcceleratorEstimate:
    """What all devices of one replica need together, in bytes."""

    weights: int
    context: int
    compute: int

    @property
    def total(self) -> int:
        return self.weights + self.context + self.compute


def needs(
    facts: WeightsFacts, context_size: int, parallel_slots: int, devices: int, adapters: int = 0
) -> AcceleratorEstimate:
    """Memory on the devices, when every slot is filled to its context. `adapters`: bytes of LoRA adapters."""
    driver = DRIVER_BYTES * devices
    if facts.format == GGUF:
        parts = estimate(facts, context_size, parallel_slots)
        return AcceleratorEstimate(parts.weights + adapters, parts.context, parts.compute + driver)
    tokens = -(-context_size // BLOCK) * BLOCK
    cache = facts.layers * facts.heads_kv * (facts.key_length + facts.value_length) * KV_BYTES * tokens
    batch = min(BATCH_TOKENS, context_size * parallel_slots)
    activations = batch * HALF_BYTES * (4 * facts.embedding + 3 * facts.feed_forward)
    logits = parallel_slots * facts.vocabulary * FLOAT_BYTES
    return AcceleratorEstimate(facts.tensor_bytes, cache * parallel_slots, activations + logits + driver)


def room(engine: str, devices: Accelerator) -> int:
    """Bytes an engine may use of all devices."""
    percent = 100 if engine == LLAMA_CPP else GPU_PERCENT
    return devices.memory_bytes * devices.count * percent // 100


def fit(
    verdict: MemoryVerdict,
    facts: WeightsFacts | None,
    devices: Accelerator | None,
    *,
    engine: str,
    context_size: int,
    parallel_slots: int,
    adapters: int = 0,
) -> tuple[MemoryVerdict, int]:
    """The verdict on main memory with what is said of the accelerators, and their bytes.

    Raises:
        Refused: the devices have less than is needed.
    """
    if facts is None or devices is None:
        return verdict, 0
    need, has = needs(facts, context_size, parallel_slots, devices.count, adapters), room(engine, devices)
    weights = f"weights{' and adapters' if adapters else ''} {human(need.weights)}"
    detail = (
        f"{human(need.total)} estimated ({weights}, context {human(need.context)}, computing {human(need.compute)})"
    )
    which = f"{devices.count} x {devices.resource} of {human(devices.memory_bytes)}"
    share = "" if engine == LLAMA_CPP else f", of which {engine} takes {GPU_PERCENT} % ({human(has)})"
    if need.total > has:
        raise Refused(
            Reason.DOES_NOT_FIT,
            f"The accelerators of one replica cannot hold it: {detail}; there are {which}{share}. Take smaller "
            "weights, lower `spec.engine.contextSize` or `parallelSlots`, or a ComputeProfile with more or larger "
            "devices.",
            condition=Condition.FITS_MEMORY,
        )
    text = f"On the accelerators: {detail}; there are {which}{share}."
    reports = tuple(
        replace(r, message=f"{r.message} {text}") if r.condition is Condition.FITS_MEMORY else r
        for r in verdict.part.reports
    )
    return replace(verdict, part=replace(verdict.part, reports=reports)), need.total
