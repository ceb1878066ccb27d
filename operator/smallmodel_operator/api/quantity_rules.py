"""Rules of quantities: amounts of CPU and memory, as Kubernetes writes them."""

import re
from functools import partial
from typing import Final

from smallmodel_operator.api.rule import Rule, Value

QUANTITY: Final = "[0-9]+([.][0-9]{1,3})?(m|k|M|G|T|Ki|Mi|Gi|Ti)?"
_WORDS: Final = {
    "cpu": "a number of cores like 2 or 0.5, or of thousandths like 500m",
    "memory": "a number of bytes with a unit like 4Gi, 512Mi or 4G (Ki, Mi, Gi, Ti are powers of 1024, k, M, G, T of "
    "1000; GB, gb and MiB are none)",
}


def _fits(name: str, amounts: Value) -> bool:
    return amounts.get(name) is None or re.fullmatch(QUANTITY, str(amounts[name])) is not None


def _rule(kind: str, at: str, name: str, unit: str) -> Rule:
    return Rule(
        kind,
        at,
        f"!has(self.{name}) || self.{name}.matches('^{QUANTITY}$')",
        f"{at}.{name}",
        f"`{at}.{name}` must be {_WORDS[unit]}.",
        partial(_fits, name),
    )


_RESOURCES: Final = "spec.compute.resources"
QUANTITY_RULES: Final[tuple[Rule, ...]] = (
    *(_rule("SmallModel", f"{_RESOURCES}.{of}", n, n) for of in ("requests", "limits") for n in ("cpu", "memory")),
    _rule("ComputeProfile", "spec.perReplica", "cpu", "cpu"),
    _rule("ComputeProfile", "spec.perReplica", "memoryLimit", "memory"),
)
