"""Metrics of decisions."""

from functools import lru_cache

from prometheus_client import Counter, Gauge, Histogram

from smallmodel_operator.routing.choice.share import Turn
from smallmodel_operator.routing.decision import Decision
from smallmodel_operator.routing.policy import Ready

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
    "Requests whose difficulty was asked for, or whose answer was judged, by what came of it: Escalated, "
    "BelowThreshold, ShareSpent, Degraded (it was to be escalated, and nobody it could go to answers), Unjudged (the "
    "answer has no probabilities of tokens).",
    ["namespace", "route", "outcome"],
)
THRESHOLD = Gauge(
    "smallmodel_gateway_escalation_threshold",
    "Probability from which requests of a route are escalated, of its answer's doubt where that is judged, as it was "
    "for the latest.",
    ["namespace", "route"],
)
CHOICES = Counter(
    "smallmodel_gateway_tool_choices",
    "Requests that demand a tool call, by what came of it: Honoured, BySchema (the same model wrote it under a "
    "schema), Escalated (another model did), Refused.",
    ["namespace", "route", "outcome"],
)
SECONDS = Histogram(
    "smallmodel_gateway_decision_seconds", "From a whole request in the agent to its answer, record included.",
    buckets=(0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 2.5),
)  # fmt: skip
UNRECORDED = Counter(
    "smallmodel_gateway_decisions_unrecorded", "Decisions that could not be recorded: kept inside, or refused."
)
INSTEAD = Counter(
    "smallmodel_gateway_answered_instead",
    "Requests that failed outside and were decided on again, by the target outside and the one inside that answers; an "
    "empty one: none, their callers got an error.",
    ["namespace", "route", "failed", "target"],
)


def instead(ready: Ready, failed: str, target: str) -> None:
    """A request that failed outside and was decided on again."""
    INSTEAD.labels(ready.policy.namespace, ready.policy.name, failed, target).inc()


# Of each set of labels once: to look one up takes the library longer than a decision takes to be made.
_decisions, _kept = lru_cache(4096)(DECISIONS.labels), lru_cache(4096)(KEPT.labels)


def count(ready: Ready, decision: Decision) -> None:
    """A decision that takes effect."""
    policy = ready.policy
    target = decision.target.name if decision.target else ""
    _decisions(policy.namespace, policy.name, target, decision.task_class, decision.because.value).inc()
    if decision.reasons:
        _kept(policy.namespace, policy.name, decision.reasons[0].reason).inc()
    if decision.turn is not None:
        scored(ready, decision.scored, decision.turn)


def scored(ready: Ready, outcome: str, turn: Turn | None = None) -> None:
    """What came of asking how hard a request is, or how sure its first answer."""
    SCORED.labels(ready.policy.namespace, ready.policy.name, outcome).inc()
    if turn is not None:
        THRESHOLD.labels(ready.policy.namespace, ready.policy.name).set(turn.threshold)


def chosen(ready: Ready, outcome: str) -> None:
    """What came of a demand for a tool call."""
    CHOICES.labels(ready.policy.namespace, ready.policy.name, outcome).inc()
