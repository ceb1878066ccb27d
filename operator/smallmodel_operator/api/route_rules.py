"""Rules of ModelRoute."""

from typing import Final

from smallmodel_operator.api.rule import Rule, Value


def _targets(spec: Value) -> list[Value]:
    return [t for t in spec.get("targets") or [] if isinstance(t, dict)]


def _weighs(target: Value) -> bool:
    return int(target.get("weight") or 0) > 0


ROUTE_RULES: Final[tuple[Rule, ...]] = (
    Rule(
        "ModelRoute",
        "spec",
        "!has(self.default) || self.default == '' || self.targets.exists(t, t.name == self.default)",
        "spec.default",
        "`spec.default` must be the name of one of `spec.targets`.",
        lambda s: not s.get("default") or any(t.get("name") == s["default"] for t in _targets(s)),
    ),
    Rule(
        "ModelRoute",
        "spec",
        "!has(self.default) || self.default == '' || self.targets.all(t, !has(t.weight))",
        "spec.default",
        "`spec.default` must be unset where a target has a `weight`: either one target gets every request that names "
        "none, or the weights share them out. Remove one of the two.",
        lambda s: not s.get("default") or all(t.get("weight") is None for t in _targets(s)),
    ),
    Rule(
        "ModelRoute",
        "spec",
        "(has(self.default) && self.default != '') || size(self.targets) == 1 || "
        "self.targets.exists(t, has(t.weight) && t.weight > 0)",
        "spec.default",
        "`spec.default` must name the target of requests that name none, or at least one of `spec.targets` must have a "
        "`weight` above 0; only a single target needs neither.",
        lambda s: bool(s.get("default")) or len(_targets(s)) == 1 or any(_weighs(t) for t in _targets(s)),
    ),
)
