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


def _inside(spec: Value) -> set[Value]:
    return {str(t.get("name")) for t in _listed(spec, "targets") if t.get("smallModelRef") is not None}


def _order(rule: Value) -> list[Value]:
    within = rule.get("withinDeadline")
    found = within.get("order") if isinstance(within, dict) else None
    return found if isinstance(found, list) else []


_RULES: Final = "!has(self.rules) || size(self.rules) == 0"
_CLASSES: Final = "has(self.rules) && self.rules.exists(r, has(r.match) && has(r.match.taskClass))"


def _by_class(spec: Value) -> bool:
    return any(_match(rule).get("taskClass") for rule in _listed(spec, "rules"))


CHOICE_RULES: Final[tuple[Rule, ...]] = (
    Rule(
        "ModelRoute",
        "spec",
        "!has(self.rules) || self.rules.all(r, !has(r.target) || self.targets.exists(t, t.name == r.target))",
        "spec.rules",
        "`target` of each of `spec.rules` must be the name of one of `spec.targets`: correct it, or add the target.",
        lambda s: all(str(r["target"]) in _names(s) for r in _listed(s, "rules") if r.get("target") is not None),
    ),
    Rule(
        "ModelRoute",
        "spec",
        "!has(self.rules) || self.rules.all(r, !has(r.withinDeadline) || r.withinDeadline.order.all(o, "
        "self.targets.exists(t, t.name == o && has(t.smallModelRef))))",
        "spec.rules",
        "`withinDeadline.order` of a rule must name targets of `spec.targets` with `smallModelRef`: correct it, or add "
        "the target. How fast one outside the cluster is nobody measures.",
        lambda s: all(name in _inside(s) for r in _listed(s, "rules") for name in _order(r)),
    ),
    Rule(
        "ModelRoute",
        "spec",
        "!has(self.rules) || self.rules.all(r, !has(r.match) || !has(r.match.adapter) || !has(r.target) || "
        "self.targets.exists(t, t.name == r.target && has(t.smallModelRef)))",
        "spec.rules",
        "`target` of a rule with `match.adapter` must be one with `smallModelRef`: an API outside the cluster has no "
        "adapters that this route could choose.",
        lambda s: all(
            str(r["target"]) in _inside(s)
            for r in _listed(s, "rules")
            if _match(r).get("adapter") and r.get("target") is not None
        ),
    ),
    Rule(
        "ModelRoute",
        "spec.rules[]",
        "has(self.target) != has(self.withinDeadline)",
        "spec.rules",
        "A rule must have exactly one of `target` and `withinDeadline`: one target, or several by how fast they are.",
        lambda r: (r.get("target") is None) != (r.get("withinDeadline") is None),
    ),
    Rule(
        "ModelRoute",
        "spec.rules[]",
        "!has(self.match) || !has(self.match.adapter) || !has(self.match.requires) || "
        "!('Embeddings' in self.match.requires)",
        "spec.rules",
        "`match` of a rule must not give both `adapter` and `requires: [Embeddings]`: adapters change what is "
        "generated, and embeddings are computed without any. Remove one of the two.",
        lambda r: not _match(r).get("adapter") or "Embeddings" not in (_match(r).get("requires") or []),
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
        "has(self.withinDeadline) || (has(self.match) && (has(self.match.taskClass) || "
        "has(self.match.contextTokensOver) || has(self.match.adapter) || "
        "(has(self.match.requires) && size(self.match.requires) > 0)))",
        "spec.rules",
        "`match` of a rule must give `taskClass`, `requires`, `contextTokensOver` or `adapter`: a rule for every "
        "request is what `spec.default` is.",
        lambda r: (
            r.get("withinDeadline") is not None
            or any(_match(r).get(key) for key in ("taskClass", "contextTokensOver", "adapter", "requires"))
        ),
    ),
)
