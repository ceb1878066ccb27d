"""Rules of spec.scaling.objectives.latency."""

from typing import Any, Final

from smallmodel_operator.api.rule import Rule

_AT: Final = "spec.scaling.objectives.latency"
_FIRST, _INTER, _END = "timeToFirstTokenMilliseconds", "interTokenMilliseconds", "endToEndMilliseconds"


def _in_order(latency: Any) -> bool:
    first, end = latency.get(_FIRST), latency.get(_END)
    return first is None or end is None or int(first) <= int(end)


LATENCY_RULES: Final[tuple[Rule, ...]] = (
    Rule(
        "SmallModel",
        _AT,
        f"has(self.{_FIRST}) || has(self.{_INTER}) || has(self.{_END})",
        _AT,
        f"`{_AT}` must have `{_FIRST}`, `{_INTER}` or `{_END}`: it says how many percent, and they of what.",
        lambda s: any(s.get(name) is not None for name in (_FIRST, _INTER, _END)),
    ),
    Rule(
        "SmallModel",
        _AT,
        f"!has(self.{_FIRST}) || !has(self.{_END}) || self.{_FIRST} <= self.{_END}",
        f"{_AT}.{_END}",
        f"`{_AT}.{_END}` must not be less than `{_FIRST}`: an answer ends after it begins.",
        _in_order,
    ),
)
