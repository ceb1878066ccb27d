"""What came of the requests of models with an objective, counted for who scales them.

Counts only grow, until their `epoch` changes: with the process, with the model's bound, and when a model was away.
Only what ended is here; what is in flight or held Envoy and the activator know.
"""

import itertools
import time
from collections.abc import Collection, Mapping
from typing import Any, Final

from smallmodel_operator.autoscaling.prompts import BINS, bin_of
from smallmodel_operator.gateway.accesslog.observe import Ending, Observation

_STARTED: Final = time.time_ns() // 1_000_000
_numbers: Final = itertools.count()


class Count:
    """One model. `bound`: seconds within which a first token is good. Times in seconds."""

    __slots__ = (
        "bound",
        "counted",
        "decode_seconds",
        "decode_tokens",
        "ended",
        "epoch",
        "generated",
        "good",
        "prompt_tokens",
        "prompts",
        "whole",
    )

    def __init__(self, bound: float) -> None:
        self.bound = bound
        self.epoch = f"{_STARTED}.{next(_numbers)}"
        self.ended = self.counted = self.good = self.whole = 0
        self.prompt_tokens = self.generated = self.decode_tokens = 0
        self.decode_seconds = 0.0
        self.prompts = [0] * BINS

    def add(self, seen: Observation) -> None:
        """One request that ended. What the gateway itself refused (4xx) was no work for the model."""
        if seen.ending is Ending.REFUSED and seen.cause:
            return
        self.ended += 1
        if (good := judged(seen, self.bound)) is not None:
            self.counted += 1
            self.good += good
        if seen.ending is not Ending.SERVED or seen.computed_tokens is None:
            return
        self.prompt_tokens += seen.computed_tokens
        self.prompts[bin_of(seen.computed_tokens)] += 1
        self.whole += 1
        written = seen.output_tokens or 0
        self.generated += written
        if written > 1 and seen.inter_token is not None:
            self.decode_tokens += written - 1
            self.decode_seconds += seen.inter_token * (written - 1)

    def said(self) -> dict[str, Any]:
        """As `GET /signals` has it; of the lengths of prompts the bins that hold any."""
        return {
            "epoch": self.epoch,
            "firstTokenSeconds": self.bound,
            "ended": self.ended,
            "counted": self.counted,
            "good": self.good,
            "whole": self.whole,
            "promptTokens": self.prompt_tokens,
            "generatedTokens": self.generated,
            "decodeSeconds": round(self.decode_seconds, 4),
            "decodeTokens": self.decode_tokens,
            "prompts": {str(n): count for n, count in enumerate(self.prompts) if count},
        }


def judged(seen: Observation, bound: float) -> bool | None:
    """Was its first token in time? None: it does not count.

    Streams count, and what failed or was left after the bound before any answer told whether it is one.
    """
    if not seen.generates or seen.ending is Ending.REFUSED:
        return None
    if seen.ending is Ending.FAILED:
        return False
    if seen.first_token is not None:
        return seen.first_token <= bound
    if seen.ending is Ending.LEFT and (seen.waited or 0.0) > bound:
        return False
    return None


class Objectives:
    """The models' counts. `record` may run in another thread than the rest."""

    def __init__(self) -> None:
        self._counts: dict[str, Count] = {}

    def record(self, seen: Observation) -> None:
        """Count one request, if its model has an objective."""
        if seen.model and (count := self._counts.get(f"{seen.namespace}/{seen.model}")) is not None:
            count.add(seen)

    def follow(self, bounds: Mapping[str, float]) -> None:
        """These models (`<namespace>/<name>`) have an objective, and its bound in seconds."""
        old = self._counts
        self._counts = {
            target: known if (known := old.get(target)) is not None and known.bound == bound else Count(bound)
            for target, bound in bounds.items()
        }

    def said(self, targets: Collection[str]) -> dict[str, dict[str, Any]]:
        """Of each target that has an objective."""
        counts = self._counts
        return {target: counts[target].said() for target in targets if target in counts}
