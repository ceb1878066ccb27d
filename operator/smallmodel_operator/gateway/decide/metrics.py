"""Metrics of decisions."""

from prometheus_client import Counter, Histogram

DECISIONS = Counter(
    "smallmodel_gateway_decisions",
    "Decisions on requests of routes, by target (empty: none), class of task (empty: none) and reason.",
    ["namespace", "route", "target", "class", "reason"],
)
KEPT = Counter(
    "smallmodel_gateway_decisions_kept",
    "Decisions by which a request had to stay inside, by the first reason for it.",
    ["namespace", "route", "reason"],
)
SECONDS = Histogram(
    "smallmodel_gateway_decision_seconds", "From a whole request in the agent to its answer, record included.",
    buckets=(0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 2.5),
)  # fmt: skip
UNRECORDED = Counter(
    "smallmodel_gateway_decisions_unrecorded", "Decisions that could not be recorded: kept inside, or refused."
)
