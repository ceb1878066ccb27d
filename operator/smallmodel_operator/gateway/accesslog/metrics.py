"""Metrics made from the access log. Held requests and wakes are counted where they happen (activate/metrics.py)."""

import re
from collections.abc import Collection, Sequence
from typing import Final, TypeVar, cast

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram

from smallmodel_operator.gateway.accesslog.observe import Ending, Observation

FIRST_TOKEN_BOUNDS: Final = (0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60, 120)
INTER_TOKEN_BOUNDS: Final = (0.005, 0.01, 0.02, 0.03, 0.04, 0.06, 0.08, 0.12, 0.2, 0.5, 1)
END_TO_END_BOUNDS: Final = (0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60, 120, 300)
CAUSES: Final = 64
"""Causes told apart; an engine may send any as a header."""
_CAUSE: Final = re.compile(r"[a-z][a-z-]{0,39}")
_MODEL: Final = ("namespace", "model")
_M = TypeVar("_M", Counter, Histogram)


class RequestMetrics:
    """Metrics of requests. Series exist for models that are there and were asked; bounds are in seconds."""

    def __init__(
        self,
        registry: CollectorRegistry = REGISTRY,
        *,
        first_token: Sequence[float] = FIRST_TOKEN_BOUNDS,
        inter_token: Sequence[float] = INTER_TOKEN_BOUNDS,
        end_to_end: Sequence[float] = END_TO_END_BOUNDS,
    ) -> None:
        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"smallmodel_gateway_{name}", text, [*_MODEL, *labels], registry=registry)

        def histogram(name: str, text: str, bounds: Sequence[float]) -> Histogram:
            return Histogram(f"smallmodel_gateway_{name}", text, _MODEL, buckets=bounds, registry=registry)

        self.requests = counter(
            "requests", "Requests that ended; code 0: the caller left before the answer began.", "caller_class", "code"
        )
        self.failed = counter("failed", "Requests that failed: 5xx, or an answer that broke off.")
        self.refused = counter("refused", "Requests the gateway answered itself with an error, by cause.", "cause")
        self.resets = counter("upstream_resets", "Requests whose connection to a pod broke and was not replaced.")
        self.input_tokens = counter("input_tokens", "Tokens of prompts.")
        self.output_tokens = counter("output_tokens", "Tokens generated.")
        self.uncounted = counter(
            "answers_without_tokens", "Answers whose engine did not say how many tokens they took."
        )
        self.first_token = histogram(
            "time_to_first_token_seconds",
            "Streams: from the last byte of the request to the first of the answer's body, hold included.",
            first_token,
        )
        self.inter_token = histogram(
            "inter_token_seconds", "Streams: time from one token to the next, mean of a request.", inter_token
        )
        self.end_to_end = histogram(
            "end_to_end_seconds", "From the last byte of the request to the last of the answer.", end_to_end
        )
        self.left_early = histogram(
            "left_before_first_token_seconds", "How long callers waited that left before any answer.", first_token
        )
        self.left = histogram(
            "left_before_end_seconds", "How long callers waited that left before the whole answer.", end_to_end
        )
        self.routed = Counter(
            "smallmodel_gateway_routed_requests",
            "Requests that came by a ModelRoute, by its target; an empty one: none was found, or the caller may not.",
            ["namespace", "route", "target", "code"],
            registry=registry,
        )
        self._causes: set[str] = set()
        self._seen: set[tuple[str, str]] = set()
        self._series: dict[tuple[object, tuple[str, ...]], Counter | Histogram] = {}

    def record(self, seen: Observation) -> None:
        """Count one request."""
        of = (seen.namespace, seen.model)
        self._seen.add(of)
        self._of(self.requests, *of, seen.caller_class, str(seen.status)).inc()
        if seen.route:
            namespace, _, route = seen.route.partition("/")
            route, _, target = route.partition("/")
            self._of(self.routed, namespace, route, target, str(seen.status)).inc()
        if seen.cause:
            self._of(self.refused, *of, self._bounded(seen.cause)).inc()
        if not seen.model:
            return
        for flagged, metric in ((seen.ending is Ending.FAILED, self.failed), (seen.reset, self.resets)):
            series = self._of(metric, *of)  # there with 0, too
            if flagged:
                series.inc()
        self._tokens(of, seen)
        for histogram, value in (
            (self.first_token, seen.first_token),
            (self.inter_token, seen.inter_token),
            (self.end_to_end, seen.end_to_end),
            (self.left, seen.waited),
            (self.left_early, seen.waited if seen.first_token is None else None),
        ):
            if value is not None:
                self._of(histogram, *of).observe(value)

    def _of(self, metric: _M, *labels: str) -> _M:
        """The series of these labels: the library takes as long to find them as we do to read the line."""
        series = self._series.get((metric, labels))
        if series is None:
            series = self._series[metric, labels] = metric.labels(*labels)
        return cast(_M, series)

    def _tokens(self, of: tuple[str, str], seen: Observation) -> None:
        for metric, tokens in ((self.input_tokens, seen.input_tokens), (self.output_tokens, seen.output_tokens)):
            if tokens is not None:
                self._of(metric, *of).inc(tokens)
        if seen.generates and seen.ending is Ending.SERVED and None in (seen.input_tokens, seen.output_tokens):
            self._of(self.uncounted, *of).inc()

    def _bounded(self, cause: str) -> str:
        if not _CAUSE.fullmatch(cause) or (cause not in self._causes and len(self._causes) >= CAUSES):
            return "other"
        self._causes.add(cause)
        return cause

    def keep_only(self, targets: Collection[str]) -> None:
        """Drop the series of models (`<namespace>/<name>`) that are gone; those of no model stay."""
        gone = {of for of in self._seen if of[1] and "/".join(of) not in targets}
        for of in gone:
            labels = dict(zip(_MODEL, of, strict=True))
            for metric in self.all:
                metric.remove_by_labels(labels)
        self._series = {key: series for key, series in self._series.items() if key[1][:2] not in gone}
        self._seen -= gone

    @property
    def all(self) -> tuple[Counter | Histogram, ...]:
        """Every metric of requests."""
        counters = (self.requests, self.failed, self.refused, self.resets)
        tokens = (self.input_tokens, self.output_tokens, self.uncounted)
        return (*counters, *tokens, self.first_token, self.inter_token, self.end_to_end, self.left_early, self.left)


REQUESTS: Final = RequestMetrics()
"""Of this process: a registry takes each name once."""
LINES: Final = Counter("smallmodel_gateway_log_lines", "Lines of the access log read.")
GARBAGE: Final = Counter(
    "smallmodel_gateway_log_garbage", "What in the access log was no line: torn, too long, unreadable, truncated.",
    ["reason"],
)  # fmt: skip
UNREAD: Final = Gauge("smallmodel_gateway_log_unread_bytes", "Bytes of the access log that wait to be read.")
PROBLEM: Final = Gauge(
    "smallmodel_gateway_log_problem", "1 while the access log cannot be read, or not be kept within bounds.", ["work"]
)
