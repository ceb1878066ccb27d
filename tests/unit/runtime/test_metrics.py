"""Gauges that come and go with what they are of."""

from prometheus_client import REGISTRY

from smallmodel_operator.budget.counter import Unit
from smallmodel_operator.budget.limit import Limit, Per
from smallmodel_operator.budget.window import Period
from smallmodel_operator.control.route.budgeted import Standing
from smallmodel_operator.runtime.metrics import route_budgets

MONTH = Limit(Per.ROUTE, Period.MONTH, Unit.TOKENS, 1000)
TODAY = Limit(Per.CALLER, Period.DAY, Unit.REQUESTS, 5)


def shown(limit: Limit) -> float | None:
    labels = {"namespace": "support", "route": "desk", "limit": limit.name}
    return REGISTRY.get_sample_value("smallmodel_operator_route_budget_used_ratio", labels)


def test_a_budget_is_shown_while_its_route_has_it() -> None:
    route_budgets("support/desk", (Standing(MONTH, "2026-11", 250), Standing(TODAY, "2026-11-22", 6, 1)))
    assert (shown(MONTH), shown(TODAY)) == (0.25, 1.2)
    route_budgets("support/desk", (Standing(MONTH, "2026-11", 300),))
    assert (shown(MONTH), shown(TODAY)) == (0.3, None)
    for _ in range(2):
        route_budgets("support/desk", ())
        assert (shown(MONTH), shown(TODAY)) == (None, None)
