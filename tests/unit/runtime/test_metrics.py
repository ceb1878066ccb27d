"""Gauges that come and go with what they are of."""

from prometheus_client import REGISTRY

from smallmodel_operator.budget.counter import Unit
from smallmodel_operator.budget.limit import Limit, Per
from smallmodel_operator.budget.price import trillionths
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


def spent(currency: str) -> float | None:
    labels = {"namespace": "support", "route": "desk", "limit": "Route/Month/Money", "currency": currency}
    return REGISTRY.get_sample_value("smallmodel_operator_route_budget_spent", labels)


def test_money_is_shown_in_its_currency() -> None:
    for currency, other in (("EUR", "USD"), ("USD", "EUR")):
        limit = Limit(Per.ROUTE, Period.MONTH, Unit.MONEY, trillionths("400"), currency=currency)
        route_budgets("support/desk", (Standing(limit, "2026-11", trillionths("100.5")),))
        assert (shown(limit), spent(currency), spent(other)) == (0.25125, 100.5, None)
    route_budgets("support/desk", ())
    assert spent("USD") is None
