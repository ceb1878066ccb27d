"""Metrics of budgets at one gateway."""

from prometheus_client import Counter, Gauge

REFUSED = Counter(
    "smallmodel_gateway_budget_refused",
    "Requests to routes that were refused for a budget, by limit (empty: it could not be counted) and reason.",
    ["namespace", "route", "limit", "reason"],
)
RESERVED = Gauge("smallmodel_gateway_budget_reservations", "Requests under way whose worst case is held in budgets.")
LOST = Counter(
    "smallmodel_gateway_budget_written_off",
    "Requests that ended with their Envoy: nobody knows what they used, so all that was held for them counts.",
)
PROBLEM = Gauge(
    "smallmodel_gateway_budget_problem", "1 while budgets cannot be counted, and requests to their routes are refused."
)
