"""Rules of `spec.budgets` of a ModelRoute."""

from typing import Final

from smallmodel_operator.api.rule import Rule, Value


def _budgets(spec: Value) -> list[Value]:
    found = spec.get("budgets")
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def _one(budget: Value) -> bool:
    return (budget.get("requests") is None) != (budget.get("tokens") is None)


def _leaves(spec: Value) -> bool:
    found = spec.get("targets")
    return any(isinstance(t, dict) and t.get("external") for t in found) if isinstance(found, list) else False


def _different(spec: Value) -> bool:
    found = [(str(b.get("per")), str(b.get("period")), b.get("requests") is None) for b in _budgets(spec)]
    return len(set(found)) == len(found)


ROUTE_BUDGET_RULES: Final[tuple[Rule, ...]] = (
    Rule(
        "ModelRoute",
        "spec.budgets[]",
        "has(self.requests) != has(self.tokens)",
        "spec.budgets",
        "Each of `spec.budgets` must have exactly one of `requests` and `tokens`: give the other one an entry of its "
        "own.",
        _one,
    ),
    Rule(
        "ModelRoute",
        "spec",
        "!has(self.budgets) || self.budgets.all(b, !has(b.onExceeded) || b.onExceeded != 'LocalOnly') || "
        "self.targets.exists(t, has(t.external))",
        "spec.budgets",
        "`onExceeded` of `spec.budgets` must be `Refuse` where no target has `external`: nothing leaves there anyhow, "
        "so `LocalOnly` would limit nothing.",
        lambda s: _leaves(s) or all(b.get("onExceeded") != "LocalOnly" for b in _budgets(s)),
    ),
    Rule(
        "ModelRoute",
        "spec",
        "!has(self.budgets) || self.budgets.all(a, self.budgets.exists_one(b, b.per == a.per && b.period == a.period "
        "&& has(b.requests) == has(a.requests)))",
        "spec.budgets",
        "Each of `spec.budgets` must differ from the others in `per`, in `period`, or in what it counts (requests or "
        "tokens): of two that limit the same keep one.",
        _different,
    ),
)
