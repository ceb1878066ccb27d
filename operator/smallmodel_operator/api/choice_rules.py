"""Rules of `spec.rules` and `spec.classifier` of a ModelRoute."""

from typing import Final

from smallmodel_operator.api.rule import Rule, Value


def _listed(spec: Value, field: str) -> list[Value]:
    found = spec.get(field)
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def _match(rule: Value) -> Value:
    found = rule.get("match")
    return found if isinstance(found, dict) else {}


def _names(spec: Value) -> set[Value]:
    return {str(t.get("name")) for t in _listed(spec, "targets")}


_RULES: Final = "!has(self.rules) || size(self.rules) == 0"
_CLASSES: Final = "has(self.rules) && self.rules.exists(r, has(r.match.taskClass))"


def _by_class(spec: Value) -> bool:
    return any(_match(rule).get("taskClass") for rule in _listed(spec, "rules"))


CHOICE_RULES: Final[tuple[Rule, ...]] = (
    Rule(
        "ModelRoute",
        "spec",
        "!has(self.rules) || self.rules.all(r, self.targets.exists(t, t.name == r.target))",
        "spec.rules",
        "`target` of each of `spec.rules` must be the name of one of `spec.targets`: correct it, or add the target.",
        lambda s: all(str(r.get("target")) in _names(s) for r in _listed(s, "rules")),
    ),
    Rule(
        "ModelRoute",
        "spec",
        f"{_RULES} || (has(self.default) && self.default != '')",
        "spec.rules",
        "`spec.default` must name the target of requests that match none of `spec.rules`; weights cannot be combined "
        "with rules.",
        lambda s: not _listed(s, "rules") or bool(s.get("default")),
    ),
    Rule(
        "ModelRoute",
        "spec",
        f"!({_CLASSES}) || has(self.classifier)",
        "spec.classifier",
        "`spec.classifier` must be given where a rule has `match.taskClass`: it tells the classes apart.",
        lambda s: not _by_class(s) or isinstance(s.get("classifier"), dict),
    ),
    Rule(
        "ModelRoute",
        "spec",
        f"!has(self.classifier) || ({_CLASSES})",
        "spec.classifier",
        "`spec.classifier` must be unset while no rule has `match.taskClass`: nobody would ask it.",
        lambda s: s.get("classifier") is None or _by_class(s),
    ),
    Rule(
        "ModelRoute",
        "spec.rules[]",
        "has(self.match.taskClass) || has(self.match.contextTokensOver) || "
        "(has(self.match.requires) && size(self.match.requires) > 0)",
        "spec.rules",
        "`match` of a rule must give `taskClass`, `requires` or `contextTokensOver`: a rule for every request is what "
        "`spec.default` is.",
        lambda r: any(_match(r).get(key) for key in ("taskClass", "contextTokensOver", "requires")),
    ),
)
