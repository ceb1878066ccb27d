"""Rules of spec.scaling.objectives.cost and `prefer`."""

import re
from typing import Any, Final

from smallmodel_operator.api.rule import Rule

_OBJECTIVES: Final = "spec.scaling.objectives"
_COST: Final = f"{_OBJECTIVES}.cost"
_HARD: Final = ("Sleep", "Refuse")
_TAKES: Final = ("Cap", *_HARD)


def _above_zero(field: str) -> Rule:
    return Rule(
        "SmallModel",
        _COST,
        f"!has(self.{field}) || self.{field}.matches('[1-9]')",
        f"{_COST}.{field}",
        f"`{_COST}.{field}` must be above 0; `spec.suspend: true` switches a model off.",
        lambda c: c.get(field) is None or re.search("[1-9]", str(c[field])) is not None,
    )


def _action(objectives: Any) -> str:
    return str((objectives.get("cost") or {}).get("onExceeded") or "Warn")


COST_RULES: Final[tuple[Rule, ...]] = (
    Rule(
        "SmallModel",
        _COST,
        "has(self.maxPerMillionTokens) || has(self.monthlyBudget)",
        _COST,
        f"`{_COST}` must have `maxPerMillionTokens` or `monthlyBudget`, or both.",
        lambda c: c.get("maxPerMillionTokens") is not None or c.get("monthlyBudget") is not None,
    ),
    _above_zero("maxPerMillionTokens"),
    _above_zero("monthlyBudget"),
    Rule(
        "SmallModel",
        _COST,
        "!has(self.onExceeded) || !(self.onExceeded in ['Sleep', 'Refuse']) || has(self.monthlyBudget)",
        f"{_COST}.onExceeded",
        f"`{_COST}.onExceeded` Sleep and Refuse must have a `monthlyBudget`: they act when nothing of it is left.",
        lambda c: c.get("onExceeded") not in _HARD or c.get("monthlyBudget") is not None,
    ),
    Rule(
        "SmallModel",
        _OBJECTIVES,
        "!has(self.cost) || !has(self.cost.onExceeded) || self.cost.onExceeded != 'Cap' || "
        "(has(self.prefer) && self.prefer == 'Cost')",
        f"{_COST}.onExceeded",
        f"`{_COST}.onExceeded: Cap` must be with `prefer: Cost`: with `prefer: Latency` no replica is taken from what "
        "latency needs. Set `prefer: Cost`, or choose Warn, ShrinkFloor, Sleep or Refuse.",
        lambda o: _action(o) != "Cap" or o.get("prefer") == "Cost",
    ),
    Rule(
        "SmallModel",
        _OBJECTIVES,
        "!has(self.prefer) || self.prefer != 'Cost' || "
        "(has(self.cost) && has(self.cost.onExceeded) && self.cost.onExceeded in ['Cap', 'Sleep', 'Refuse'])",
        f"{_OBJECTIVES}.prefer",
        f"`{_OBJECTIVES}.prefer: Cost` must be with `cost.onExceeded` Cap, Sleep or Refuse: with Warn and ShrinkFloor "
        "money takes no replica away.",
        lambda o: o.get("prefer") != "Cost" or _action(o) in _TAKES,
    ),
)
