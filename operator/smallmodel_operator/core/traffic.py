"""What the gateways say about one model: values, made in cluster/ from `GET /signals`, or from what Prometheus has."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

FRESH_SECONDS: Final = 4.0
"""An older report says nothing about now."""
CURRENT_SECONDS: Final = 0.5
"""Nobody is put to sleep on an older one: a request may have come since. Gateways are asked each second."""


@dataclass(frozen=True, slots=True)
class ColdStart:
    """From asleep to answering, in seconds: until the pod has an address (scheduled, sandbox), until its container
    takes connections, until the engine has loaded and says so."""

    schedule: float
    container: float
    load: float

    @property
    def total(self) -> float:
        return self.schedule + self.container + self.load


def typical(starts: Iterable[ColdStart]) -> ColdStart | None:
    """The one in the middle by its total, so that its stages add up; None of none."""
    ranked = sorted(starts, key=lambda s: s.total)
    return ranked[len(ranked) // 2] if ranked else None


class Judged(NamedTuple):
    """Requests that a bound of so many seconds is judged by, and those of them within it. 0 s: it is not asked."""

    seconds: float = 0.0
    counted: int = 0
    good: int = 0


_UNASKED: Final = Judged()


@dataclass(frozen=True, slots=True)
class Counts:
    """What a gateway counted of a model with an objective; only grows until `epoch` changes. Times in seconds.

    Args:
        epoch: when counting began, a word.
        bound: a first token within it is good; 0: that is not asked.
        ended: requests that are over, however they ended; what the gateway itself refused is none.
        counted: of those, what first tokens are judged by; `good` of them in time.
        whole: answers that were complete and whose engine said how many tokens they took.
        prompt_tokens: the engine read for those; `prompts` counts their lengths in bins.
        generated_tokens: of those.
        decode_seconds: between first and last token of streams, for `decode_tokens`.
        inter_token, end_to_end: what the bounds of these names are judged by.
        written: tokens of whole answers in bins, as `prompts`.
    """

    epoch: str
    bound: float
    ended: int = 0
    counted: int = 0
    good: int = 0
    whole: int = 0
    prompt_tokens: int = 0
    generated_tokens: int = 0
    decode_seconds: float = 0.0
    decode_tokens: int = 0
    prompts: tuple[int, ...] = ()
    inter_token: Judged = _UNASKED
    end_to_end: Judged = _UNASKED
    written: tuple[int, ...] = ()

    @property
    def judged(self) -> tuple[Judged, ...]:
        """By each bound, in the order of `Bounds`."""
        return Judged(self.bound, self.counted, self.good), self.inter_token, self.end_to_end


@dataclass(frozen=True, slots=True)
class GatewayReport:
    """One gateway's word on one model. `routes`: it has the model in its configuration. Times in seconds."""

    gateway: str
    age: float
    routes: bool
    in_flight: int = 0
    held: int = 0
    idle: float = 0.0
    cold_starts: tuple[ColdStart, ...] = ()
    """The last ones it saw."""
    counts: Counts | None = None
    """None: the model has no objective, as far as the gateway knows."""
    lasts: float = FRESH_SECONDS
    """For so long it says something about now."""

    @property
    def fresh(self) -> bool:
        return self.age <= self.lasts


@dataclass(frozen=True, slots=True)
class Traffic:
    """All gateways, each with its last report; a silent one has an old report."""

    reports: tuple[GatewayReport, ...] = ()
    """Of those that are ready: new requests go there."""
    leaving: tuple[GatewayReport, ...] = ()
    """Of those that are not, or not any more: nothing new goes there, but streams may be open for minutes."""
    at: float | None = None
    """When it was so (monotonic), where that is not now; the same time is the same look."""
    source: str = ""
    """Who was asked in place of the gateways; empty: they were."""
    problem: str = ""
    """Why something is not known, in words that stay the same while the reason does; empty: it is, or nobody says."""

    @property
    def complete(self) -> bool:
        """A gateway is ready, and every one there is has spoken lately."""
        return bool(self.reports) and all(r.fresh for r in self._all)

    @property
    def current(self) -> bool:
        """Complete, and every word is of this moment."""
        return self.complete and all(r.age <= CURRENT_SECONDS for r in self._all)

    @property
    def busy(self) -> bool:
        """Some gateway has a request of the model in flight or held."""
        return any(r.in_flight or r.held for r in self._all)

    @property
    def idle(self) -> float:
        """Seconds since the last request anywhere; 0 while it is not known."""
        return min((r.idle for r in self._all), default=0.0) if self.complete and not self.busy else 0.0

    @property
    def cold_start(self) -> ColdStart | None:
        """What waking the model usually takes; None where no gateway remembers one."""
        return typical(start for r in self._all for start in r.cold_starts)

    @property
    def routed(self) -> int:
        """Ready gateways that route to the model."""
        return sum(1 for r in self.reports if r.fresh and r.routes)

    @property
    def _all(self) -> tuple[GatewayReport, ...]:
        return (*self.reports, *self.leaving)


@dataclass(frozen=True, slots=True)
class Usage:
    """Requests that were answered or failed, and their tokens."""

    requests: int = 0
    prompt: int = 0
    generated: int = 0

    def plus(self, other: "Usage") -> "Usage":
        return Usage(self.requests + other.requests, self.prompt + other.prompt, self.generated + other.generated)


@dataclass(frozen=True, slots=True)
class Tally:
    """What one gateway has counted of each model (`<namespace>/<name>`) since it began to, restarts or not.

    `epoch` is when that was, in microseconds since 1970; another one: what was counted before is lost.
    """

    epoch: int
    models: Mapping[str, Usage] = field(default_factory=dict)
