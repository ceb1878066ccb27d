"""Rules of what a ComputeProfile's nodes cost."""

import re
from typing import Final

from smallmodel_operator.api.rule import Rule

_KIND: Final = "ComputeProfile"
_PRICE: Final = "spec.price"


def _above_zero(field: str) -> Rule:
    return Rule(
        _KIND,
        _PRICE,
        f"!has(self.{field}) || self.{field}.matches('[1-9]')",
        f"{_PRICE}.{field}",
        f"`{_PRICE}.{field}` must be above 0; without a price, leave `{_PRICE}` out.",
        lambda p: p.get(field) is None or re.search("[1-9]", p[field]) is not None,
    )


PRICE_RULES: Final[tuple[Rule, ...]] = (
    Rule(
        _KIND,
        _PRICE,
        "has(self.hourly) != has(self.purchase)",
        _PRICE,
        f"`{_PRICE}` must have either `hourly`, or `purchase` with `amortizationYears`.",
        lambda p: (p.get("hourly") is None) != (p.get("purchase") is None),
    ),
    Rule(
        _KIND,
        _PRICE,
        "has(self.purchase) == has(self.amortizationYears)",
        f"{_PRICE}.amortizationYears",
        f"`{_PRICE}.amortizationYears` must be set with `purchase`, and unset with `hourly`.",
        lambda p: (p.get("purchase") is None) == (p.get("amortizationYears") is None),
    ),
    Rule(
        _KIND,
        _PRICE,
        "!has(self.maintenancePercentPerYear) || has(self.purchase)",
        f"{_PRICE}.maintenancePercentPerYear",
        f"`{_PRICE}.maintenancePercentPerYear` must be unset with `hourly`: an hourly rate includes maintenance.",
        lambda p: p.get("maintenancePercentPerYear") is None or p.get("purchase") is not None,
    ),
    _above_zero("hourly"),
    _above_zero("purchase"),
    Rule(
        _KIND,
        "spec",
        "!has(self.power) || (has(self.price) && has(self.price.purchase))",
        "spec.power",
        "`spec.power` must be unset without `spec.price.purchase`: an hourly rate includes electricity.",
        lambda s: not s.get("power") or (s.get("price") or {}).get("purchase") is not None,
    ),
)
