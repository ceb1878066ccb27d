"""What came of the requests of models with an objective, counted for who scales them.

Counts only grow, until their `epoch` changes: with the process, with the model's bounds, and when a model was away.
Only what ended is here; what is in flight or held Envoy and the activator know.
"""

import itertools
import time
from collections.abc import Collection, Mapping
from typing import Any, Final

from smallmodel_operator.autoscaling.prompts import BINS, bin_of
from smallmodel_operator.core.scaling import Bounds, Latency
from smallmodel_operator.gateway.accesslog.observe import Ending, Observation

_STARTED: Final = time.time_ns() // 1_000_000
_numbers: Final = itertools.count()


class Count:
    """One model. `bounds`: seconds within which its answers are good. Times in seconds."""

    __slots__ = (
        "bounds",
        "decode_seconds",
        "decode_tokens",
        "ended",
        "epoch",
        "generated",
        "judged",
        "prompt_tokens",
        "prompts",
        "whole",
        "written",
    )

    def __init__(self, bounds: Bounds) -> None:
        self.bounds = bounds
        self.epoch = f"{_STARTED}.{next(_numbers)}"
        self.ended = self.whole = 0
        self.judged = {kind: [0, 0] for kind in Latency}
        self.prompt_tokens = self.generated = self.decode_tokens = 0
        self.decode_seconds = 0.0
        self.prompts, self.written = [0] * BINS, [0] * BINS

    def add(self, seen: Observation) -> None:
        """One request that ended. What the gateway itself refused (4xx) was no work for the model."""
        if seen.ending is Ending.REFUSED and seen.cause:
            return
        self.ended += 1
        for kind, bound in self.bounds.asked:
            if (good := judged(seen, kind, bound)) is not None:
                self.judged[kind][0] += 1
                self.judged[kind][1] += good
        if seen.ending is not Ending.SERVED or seen.computed_tokens is None:
            return
        self.prompt_tokens += seen.computed_tokens
        self.prompts[bin_of(seen.computed_tokens)] += 1
        self.whole += 1
        written = seen.output_tokens or 0
        self.generated += written
        self.written[bin_of(written)] += 1
        if written > 1 and seen.inter_token is not None:
            self.decode_tokens += written - 1
            self.decode_seconds += seen.inter_token * (written - 1)

    def said(self) -> dict[str, Any]:
        """As `GET /signals` has it; of the lengths of prompts and answers the bins that hold any."""
        counted, good = self.judged[Latency.FIRST_TOKEN]
        return {
            "epoch": self.epoch,
            "firstTokenSeconds": self.bounds.first_token,
            "ended": self.ended,
            "counted": counted,
            "good": good,
            "interToken": self._of(Latency.INTER_TOKEN, self.bounds.inter_token),
            "endToEnd": self._of(Latency.END_TO_END, self.bounds.end_to_end),
            "whole": self.whole,
            "promptTokens": self.prompt_tokens,
            "generatedTokens": self.generated,
            "decodeSeconds": round(self.decode_seconds, 4),
            "decodeTokens": self.decode_tokens,
            "prompts": _filled(self.prompts),
            "written": _filled(self.written),
        }

    def _of(self, kind: Latency, bound: float) -> dict[str, float]:
        counted, good = self.judged[kind]
        return {"seconds": bound, "counted": counted, "good": good}


def _filled(bins: list[int]) -> dict[str, int]:
    return {str(n): count for n, count in enumerate(bins) if count}


def judged(seen: Observation, kind: Latency, bound: float) -> bool | None:
    """Was it within the bound? None: it does not count.

    What failed is bad, and so is who left after the bound. First tokens and what lies between tokens are judged by
    streams, and by what failed or was left before any answer told whether it is one; the end by every answer.
    """
    if not seen.generates or seen.ending is Ending.REFUSED:
        return None
    if seen.ending is Ending.FAILED:
        return False
    took = {
        Latency.FIRST_TOKEN: seen.first_token,
        Latency.INTER_TOKEN: seen.inter_token,
        Latency.END_TO_END: seen.end_to_end,
    }[kind]
    if took is not None:
        return took <= bound
    late = seen.ending is Ending.LEFT and (seen.waited or 0.0) > bound
    return False if late and kind is not Latency.INTER_TOKEN else None


class Objectives:
    """The models' counts. `record` may run in another thread than the rest."""

    def __init__(self) -> None:
        self._counts: dict[str, Count] = {}

    def record(self, seen: Observation) -> None:
        """Count one request, if its model has an objective."""
        if seen.model and (count := self._counts.get(f"{seen.namespace}/{seen.model}")) is not None:
            count.add(seen)

    def follow(self, wishes: Mapping[str, Bounds]) -> None:
        """These models (`<namespace>/<name>`) have an objective, and its bounds."""
        old = self._counts
        self._counts = {
            target: known if (known := old.get(target)) is not None and known.bounds == bounds else Count(bounds)
            for target, bounds in wishes.items()
        }

    def said(self, targets: Collection[str]) -> dict[str, dict[str, Any]]:
        """Of each target that has an objective."""
        counts = self._counts
        return {target: counts[target].said() for target in targets if target in counts}
