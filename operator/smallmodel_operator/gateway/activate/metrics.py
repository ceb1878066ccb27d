"""Metrics of held requests; wakes are counted with the agent's."""

from prometheus_client import Counter, Gauge, Histogram

_MODEL = ["namespace", "model"]

HELD = Gauge("smallmodel_gateway_held_requests", "Requests held now until their model is ready.", _MODEL)
HELD_BYTES = Gauge("smallmodel_gateway_held_bytes", "Bytes of the bodies of all held requests.")
HOLD_SECONDS = Histogram(
    "smallmodel_gateway_hold_seconds", "How long requests were held before they were let go.", _MODEL,
    buckets=(0.1, 0.25, 0.5, 1, 2, 3, 5, 8, 13, 20, 30, 60, 120, 300),
)  # fmt: skip
ENDED = Counter("smallmodel_gateway_holds", "Held requests that ended, by how.", [*_MODEL, "outcome"])
REFUSED = Counter("smallmodel_gateway_holds_refused", "Requests that were not held, or not to the end, by cause.",
    [*_MODEL, "cause"])  # fmt: skip
COLD_START_SECONDS = Histogram(
    "smallmodel_gateway_cold_start_seconds", "Cold starts seen from the gateway, by stage.", ["stage"],
    buckets=(0.1, 0.25, 0.5, 1, 2, 3, 5, 8, 13, 20, 30, 60, 120, 300),
)  # fmt: skip


def of(target: str) -> tuple[str, str]:
    """The labels of a model."""
    namespace, _, name = target.partition("/")
    return namespace, name


def forget(target: str) -> None:
    """The model is gone, and its series with it."""
    labels = dict(zip(_MODEL, of(target), strict=True))
    for metric in (HELD, HOLD_SECONDS, ENDED, REFUSED):
        metric.remove_by_labels(labels)
