"""What the controller is told at each tick. Counters only grow; they are of all gateways together."""

from dataclasses import dataclass

from smallmodel_operator.autoscaling.prompts import NOTHING
from smallmodel_operator.core.scaling import Bounds


@dataclass(frozen=True, slots=True)
class Counters:
    """Since the gateways began.

    Args:
        arrivals: requests that came, held ones too.
        prompt_tokens: of requests that came; `prompts` counts their lengths in bins.
        answered: requests whose first token came.
        good: of those, within its bound.
        ended: requests that are complete.
        generated_tokens: of those that are complete.
        decode_seconds: between first and last token, of those that are complete.
        decode_tokens: generated in that time.
        request_seconds: requests in flight, integrated over time.
        written: tokens of complete answers in bins, as `prompts`.
        inter_token, end_to_end: requests these bounds are judged by, and of those the ones within it.
    """

    arrivals: int = 0
    prompt_tokens: int = 0
    answered: int = 0
    good: int = 0
    ended: int = 0
    generated_tokens: int = 0
    decode_seconds: float = 0.0
    decode_tokens: int = 0
    request_seconds: float = 0.0
    prompts: tuple[float, ...] = NOTHING
    written: tuple[float, ...] = NOTHING
    inter_token: tuple[int, int] = (0, 0)
    end_to_end: tuple[int, int] = (0, 0)

    def judged(self, bounds: Bounds) -> tuple[tuple[int, int], ...]:
        """(counted, good) of each bound that is asked."""
        found = ((self.answered, self.good), self.inter_token, self.end_to_end)
        return tuple(pair for pair, seconds in zip(found, bounds, strict=True) if seconds)


@dataclass(frozen=True, slots=True)
class Observation:
    """One look. `counters` None: nobody answered, which is not zero."""

    at: float
    ready: int
    starting: int
    counters: Counters | None
    in_flight: int = 0
    waiting: int = 0
    start_seconds: float | None = None
    """Of the last starts, as measured; None: none was seen yet."""
