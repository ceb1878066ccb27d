"""What a route refuses requests for beside its boundary, as the policy of its decisions says it. Pure."""

from typing import Any

from smallmodel_operator.budget.counter import Unit
from smallmodel_operator.budget.limit import Limit
from smallmodel_operator.budget.price import shown
from smallmodel_operator.gateway.routed import Lead, Route
from smallmodel_operator.routing.tools.check import Bounds


def withheld(route: Route) -> dict[str, Any]:
    """`tools` and `budgets`, as JSON without fractions; what a route has not is left out."""
    tools = {"tools": _bounds(route.tools)} if route.tools else {}
    return {**tools, **({"budgets": [_limit(one, route.leads) for one in route.budgets]} if route.budgets else {})}


def _bounds(bounds: Bounds) -> dict[str, Any]:
    said = {
        "allow": None if bounds.allow is None else sorted(bounds.allow),
        "maxCallsPerConversation": bounds.most_calls,
        "maxTokensPerConversation": bounds.most_tokens,
    }
    return {name: value for name, value in said.items() if value is not None}


def _limit(limit: Limit, leads: tuple[Lead, ...]) -> dict[str, Any]:
    """Amounts are texts: of money they go beyond the integers that every reader of JSON has."""
    said: dict[str, Any] = {"limit": limit.name, "most": limit.text}
    if limit.local:
        said["onExceeded"] = "LocalOnly"
    if limit.unit is Unit.MONEY:
        said["perToken"] = {lead.name: _price(lead) for lead in leads if lead.outside}
    return said


def _price(lead: Lead) -> dict[str, str] | None:
    price = lead.price
    if price is None:
        return None
    return {"prompt": shown(price.prompt, price.currency), "generated": shown(price.generated, price.currency)}
