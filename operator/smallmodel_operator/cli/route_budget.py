"""`slm route budget`: how the budgets of a route stand, from its status."""

import json
from collections.abc import Mapping
from typing import Any

from rich.table import Table

from smallmodel_operator.budget.counter import Unit
from smallmodel_operator.budget.price import MICRO, shown
from smallmodel_operator.cli.connected import Unanswered, connected
from smallmodel_operator.cli.console import failed, stderr, stdout


async def budget(name: str, namespace: str, output: str) -> int:
    """Print each budget, and the condition; 0: none of the route's is used up, 1: one is, or nothing is known."""
    try:
        async with connected() as client:
            route = await client.get("ModelRoute", name, namespace)
    except Unanswered as error:
        return failed(str(error))
    if route is None:
        return failed(f"ModelRoute {name!r} does not exist in namespace {namespace!r}")
    if not (route.get("spec") or {}).get("budgets"):
        return failed(f"ModelRoute {name!r} has no budgets (spec.budgets): whoever may use it may ask for anything.")
    said = stands(route)
    if output == "json":
        print(json.dumps(said, indent=2))
    else:
        _show(said)
    return 0 if said["available"] == "True" else 1


def stands(route: Mapping[str, Any]) -> dict[str, Any]:
    """`available`: True, False or Unknown; `reason` and `message` why; `budgets`, as the status has them."""
    status = route.get("status") or {}
    conditions = {c["type"]: c for c in status.get("conditions") or ()}
    condition = conditions.get("BudgetAvailable", {})
    return {
        "available": condition.get("status", "Unknown"),
        "reason": condition.get("reason", ""),
        "message": condition.get("message", "Not seen by the operator yet; is it running?"),
        "budgets": status.get("budgets") or [],
    }


def amount(budget: Mapping[str, Any], number: int) -> str:
    """A number of a budget's unit; the status has money in millionths."""
    return shown(number * MICRO, budget["currency"]) if budget["unit"] == Unit.MONEY else str(number)


def _show(said: Mapping[str, Any]) -> None:
    if said["budgets"]:
        table = Table(box=None, pad_edge=False)
        for column in ("FOR", "WINDOW", "UNIT", "USED AT LEAST", "LIMIT", "USED UP BY"):
            table.add_column(column)
        for one in said["budgets"]:
            by = f"{one['usedUpBy']} caller(s)" if one.get("usedUpBy") else ""
            used, limit = (amount(one, one[field]) for field in ("used", "limit"))
            table.add_row(one["per"], one["window"], one["unit"], used, limit, by)
        stdout().print(table)
    stderr().print(said["message"], markup=False)
