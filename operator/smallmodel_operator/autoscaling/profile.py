"""What one replica can do, as calibration measured it. Pure; times in seconds, tokens a second."""

from dataclasses import dataclass, replace
from functools import lru_cache


@dataclass(frozen=True, slots=True)
class EngineProfile:
    """Continuous batching with one lane for prompts.

    Args:
        iteration_base_seconds: one token for every sequence, without any.
        iteration_per_sequence_seconds: what each sequence adds to it.
        prefill_tokens_per_second: speed of the lane.
        prefill_slowdown: share of decoding speed that is lost while a prompt is read, 0 to 1.
        slots: sequences at a time.
        start_seconds: from creation to ready.
    """

    iteration_base_seconds: float
    iteration_per_sequence_seconds: float
    prefill_tokens_per_second: float
    prefill_slowdown: float
    slots: int
    start_seconds: float

    def iteration_seconds(self, sequences: float) -> float:
        return self.iteration_base_seconds + self.iteration_per_sequence_seconds * sequences

    def faster(self, times: float) -> "EngineProfile":
        """The same engine, everything `times` as fast."""
        return _faster(self, times)


@lru_cache(maxsize=4096)
def _faster(profile: EngineProfile, times: float) -> EngineProfile:
    """Speeds are on a scale of steps: a thousand models ask for a few each."""
    return replace(
        profile,
        iteration_base_seconds=profile.iteration_base_seconds / times,
        iteration_per_sequence_seconds=profile.iteration_per_sequence_seconds / times,
        prefill_tokens_per_second=profile.prefill_tokens_per_second * times,
    )
