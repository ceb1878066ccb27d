"""Rules of `spec.budgets` of a ModelRoute."""

import re
from typing import Final

from smallmodel_operator.api.rule import Rule, Value


def _budgets(spec: Value) -> list[Value]:
    found = spec.get("budgets")
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


_UNITS: Final = ("requests", "tokens", "money")


def _units(budget: Value) -> list[str]:
    return [unit for unit in _UNITS if budget.get(unit) is not None]


def _outside(spec: Value) -> list[Value]:
    found = spec.get("targets")
    targets = [t.get("external") for t in found if isinstance(t, dict)] if isinstance(found, list) else []
    return [external for external in targets if isinstance(external, dict)]


def _different(spec: Value) -> bool:
    found = [(str(b.get("per")), str(b.get("period")), *_units(b)) for b in _budgets(spec)]
    return len(set(found)) == len(found)


def _priced(spec: Value) -> bool:
    currencies = {b.get("currency") for b in _budgets(spec) if b.get("money") is not None}
    prices = [external.get("price") for external in _outside(spec)]
    return not currencies or (
        bool(prices) and all(isinstance(price, dict) and {price.get("currency")} == currencies for price in prices)
    )


ROUTE_BUDGET_RULES: Final[tuple[Rule, ...]] = (
    Rule(
        "ModelRoute",
        "spec.budgets[]",
        "[has(self.requests), has(self.tokens), has(self.money)].filter(given, given).size() == 1",
        "spec.budgets",
        "Each of `spec.budgets` must have exactly one of `requests`, `tokens` and `money`: give each other one an "
        "entry of its own.",
        lambda b: len(_units(b)) == 1,
    ),
    Rule(
        "ModelRoute",
        "spec.budgets[]",
        "has(self.money) == has(self.currency)",
        "spec.budgets",
        "An entry of `spec.budgets` must have `currency` with `money`, and none without it.",
        lambda b: (b.get("money") is None) == (b.get("currency") is None),
    ),
    Rule(
        "ModelRoute",
        "spec.budgets[]",
        "!has(self.money) || self.money.matches('[1-9]')",
        "spec.budgets",
        "`money` of `spec.budgets` must be above 0: where nothing may leave, have `spec.boundary.external` be Denied.",
        lambda b: b.get("money") is None or re.search("[1-9]", b["money"]) is not None,
    ),
    Rule(
        "ModelRoute",
        "spec",
        "!has(self.budgets) || self.budgets.all(b, !has(b.money) || (self.targets.exists(t, has(t.external)) && "
        "self.targets.all(t, !has(t.external) || (has(t.external.price) && has(b.currency) && "
        "t.external.price.currency == b.currency))))",
        "spec.budgets",
        "With `money` in `spec.budgets` there must be a target with `external`, and each of them must have a `price` "
        "in the budget's currency: what it asks for is not known otherwise, and no exchange rate is assumed.",
        _priced,
    ),
    Rule(
        "ModelRoute",
        "spec",
        "!has(self.budgets) || self.budgets.all(b, !has(b.onExceeded) || b.onExceeded != 'LocalOnly') || "
        "self.targets.exists(t, has(t.external))",
        "spec.budgets",
        "`onExceeded` of `spec.budgets` must be `Refuse` where no target has `external`: nothing leaves there anyhow, "
        "so `LocalOnly` would limit nothing.",
        lambda s: bool(_outside(s)) or all(b.get("onExceeded") != "LocalOnly" for b in _budgets(s)),
    ),
    Rule(
        "ModelRoute",
        "spec",
        "!has(self.budgets) || self.budgets.all(a, self.budgets.exists_one(b, b.per == a.per && b.period == a.period "
        "&& has(b.requests) == has(a.requests) && has(b.money) == has(a.money)))",
        "spec.budgets",
        "Each of `spec.budgets` must differ from the others in `per`, in `period`, or in what it counts (requests, "
        "tokens or money): of two that limit the same keep one.",
        _different,
    ),
)
