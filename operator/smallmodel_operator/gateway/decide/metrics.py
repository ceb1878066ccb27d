"""Metrics of decisions."""

from prometheus_client import Counter, Gauge, Histogram

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
SCORED = Counter(
    "smallmodel_gateway_escalation_scored",
    "Requests whose difficulty was asked for, by what came of it: Escalated, BelowThreshold, ShareSpent, Degraded (it "
    "was to be escalated, and nobody it could go to answers).",
    ["namespace", "route", "outcome"],
)
THRESHOLD = Gauge(
    "smallmodel_gateway_escalation_threshold",
    "Probability from which requests of a route are escalated, as it was for the latest.",
    ["namespace", "route"],
)
SECONDS = Histogram(
    "smallmodel_gateway_decision_seconds", "From a whole request in the agent to its answer, record included.",
    buckets=(0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 2.5),
)  # fmt: skip
UNRECORDED = Counter(
    "smallmodel_gateway_decisions_unrecorded", "Decisions that could not be recorded: kept inside, or refused."
)
