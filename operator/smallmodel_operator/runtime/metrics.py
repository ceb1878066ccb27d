"""Metrics of the control plane. They live here so that logic never counts."""

import math
from collections.abc import Sequence

from prometheus_client import Counter, Gauge, Histogram, Info

from smallmodel_operator.budget.price import WHOLE
from smallmodel_operator.control.route.budgeted import Standing
from smallmodel_operator.core.plan import Note
from smallmodel_operator.core.scaling import Scaled

RECONCILE_SECONDS = Histogram(
    "smallmodel_operator_reconcile_duration_seconds", "Duration of one pass over one SmallModel.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)  # fmt: skip
RECONCILES = Counter("smallmodel_operator_reconciles", "Passes over SmallModels by result.", ["result"])
API_REQUESTS = Gauge("smallmodel_operator_apiserver_requests", "Requests sent to the API server since start.")
API_WRITES = Gauge("smallmodel_operator_apiserver_writes", "Writes sent to the API server since start, Lease excluded.")
LEADING = Gauge("smallmodel_operator_leading", "1 while this process leads and may write, else 0.")
MODELS = Gauge("smallmodel_operator_managed_models", "SmallModels this process works on.")
KEY_TABLE_BYTES = Gauge(
    "smallmodel_operator_key_table_size_bytes", "Size of the gateways' table of callers' keys; 900,000 is full."
)
KEY_TABLE_TIME = Gauge(
    "smallmodel_operator_key_table_last_success_timestamp_seconds",
    "When the table was last known to hold what it should, written or found so; each minute while all is well.",
)
BOUNDARY = Gauge(
    "smallmodel_operator_boundary_enforced",
    "1 for how it stands (True, False, Unknown): does the canary see this cluster's network enforce NetworkPolicies?",
    ["status"],
)
BOUNDARY_THROUGH = Gauge(
    "smallmodel_operator_boundary_leaks", "Different things that policies forbid and that got through, on all nodes."
)
BOUNDARY_TIME = Gauge(
    "smallmodel_operator_boundary_last_probe_timestamp_seconds", "When a run of the canary last ended."
)
BOUNDARY_NODES = Gauge("smallmodel_operator_boundary_probed_nodes", "Nodes the canary has a valid finding of.")
EVICTED = Counter(
    "smallmodel_operator_weights_evicted_bytes", "Bytes of unused weights that made room in claims for downloads."
)
SCALING_DESIRED = Gauge(
    "smallmodel_operator_scaling_desired_replicas", "Replicas an objective asks for now.", ["namespace", "model"]
)
SCALING_ATTAINED = Gauge(
    "smallmodel_operator_scaling_attained_ratio",
    "Share of answers within the bound that takes the most replicas, over a day, as counted since this process leads; "
    "NaN: none yet.",
    ["namespace", "model"],
)
SCALING_KNOWN = Gauge(
    "smallmodel_operator_scaling_signals_known",
    "1 while every gateway says what comes for a model with an objective, else 0: then what runs is kept.",
    ["namespace", "model"],
)
ROUTE_BUDGETS = Gauge(
    "smallmodel_operator_route_budget_used_ratio",
    "Used of a route's budget, as the gateways last said; of one per caller, by the one who used most.",
    ["namespace", "route", "limit"],
)
ROUTE_SPENT = Gauge(
    "smallmodel_operator_route_budget_spent",
    "What targets outside asked for, of a route's budget in money, as the gateways last said, in its currency; of one "
    "per caller, by the one who used most.",
    ["namespace", "route", "limit", "currency"],
)
_LIMITS: dict[str, dict[str, str]] = {}
"""What ROUTE_BUDGETS shows, by route: limits, with the currency of those in money."""
COST_MODELS = Gauge(
    "smallmodel_operator_cost_month_to_date", "What a model has cost this month (UTC), in its currency.",
    ["namespace", "model", "currency"],
)  # fmt: skip
COST_TOKENS = Gauge(
    "smallmodel_operator_cost_month_to_date_tokens", "Tokens of a model this month, as gateways counted them.",
    ["namespace", "model", "kind"],
)  # fmt: skip
COST_CLOUD = Gauge(
    "smallmodel_operator_cost_cloud_equivalent", "What a model's tokens would have cost at the cloud's price list.",
    ["namespace", "model", "currency"],
)  # fmt: skip
COST_POOLS = Gauge(
    "smallmodel_operator_cost_pool_month_to_date",
    "What the nodes of a ComputeProfile cost this month, by who had them: models, others, idle.",
    ["profile", "currency", "had_by"],
)
ENERGY = Counter(
    "smallmodel_operator_energy_joules", "Energy the pods of a model drew, by where the number comes from.",
    ["namespace", "model", "source"],
)  # fmt: skip
COST_BUDGET = Gauge(
    "smallmodel_operator_cost_budget_spent_ratio",
    "What a model with a monthly budget has cost this month, as a share of it.",
    ["namespace", "model"],
)
COST_MONTH_END = Gauge(
    "smallmodel_operator_cost_month_end",
    "What the month of a model with a cost objective will come to, if the rest of it is as the days so far.",
    ["namespace", "model", "currency"],
)
COST_PRICES_AGE = Gauge(
    "smallmodel_operator_cost_prices_age_days", "Days since the cloud's prices were read; NaN without a price list."
)
COST_PROBLEM = Gauge(
    "smallmodel_operator_cost_problem",
    "1 while this is what keeps cost from being counted, kept or compared.",
    ["work"],
)
COST_KEPT = Gauge(
    "smallmodel_operator_cost_last_checkpoint_timestamp_seconds", "When what was spent was last kept in its ConfigMap."
)
BUILD = Info("smallmodel_operator_build", "Version of the operator and of the cluster it talks to.")


def bounded(status: bool | None, through: int, nodes: int, at: float) -> None:
    """Show how the boundary stands; `at` in seconds since 1970, 0 for never."""
    for word, state in (("True", True), ("False", False), ("Unknown", None)):
        BOUNDARY.labels(word).set(status is state)
    BOUNDARY_THROUGH.set(through)
    BOUNDARY_NODES.set(nodes)
    BOUNDARY_TIME.set(at)


def reconciled(result: str, seconds: float) -> None:
    """Count one pass."""
    RECONCILES.labels(result).inc()
    RECONCILE_SECONDS.observe(seconds)


def route_budgets(route: str, standings: Sequence[Standing]) -> None:
    """Show how a route's budgets stand; none: it has none any more."""
    of = dict(zip(("namespace", "route"), route.split("/"), strict=True))
    now = {one.limit.name: one.limit.currency for one in standings}
    for name, currency in _LIMITS.get(route, {}).items():
        if name not in now:
            ROUTE_BUDGETS.remove_by_labels({**of, "limit": name})
        if currency and now.get(name) != currency:
            ROUTE_SPENT.remove_by_labels({**of, "limit": name, "currency": currency})
    for one in standings:
        ROUTE_BUDGETS.labels(**of, limit=one.limit.name).set(one.used / one.limit.most)
        if one.limit.currency:
            spent = ROUTE_SPENT.labels(**of, limit=one.limit.name, currency=one.limit.currency)
            spent.set(one.used / WHOLE)
    _LIMITS.pop(route, None)
    if now:
        _LIMITS[route] = now


def scaled(model: tuple[str, str], said: Scaled | None, attained: float | None) -> None:
    """Show what a model's objective asks for; None: it asks for nothing any more."""
    of = dict(zip(("namespace", "model"), model, strict=True))
    if said is None:
        for gauge in (SCALING_DESIRED, SCALING_ATTAINED, SCALING_KNOWN):
            gauge.remove_by_labels(of)
        return
    SCALING_DESIRED.labels(**of).set(said.replicas)
    SCALING_ATTAINED.labels(**of).set(math.nan if attained is None else attained / 100)
    SCALING_KNOWN.labels(**of).set(said.known)


def noted(note: Note) -> None:
    """Count what happened once."""
    EVICTED.inc(note.evicted_bytes)
