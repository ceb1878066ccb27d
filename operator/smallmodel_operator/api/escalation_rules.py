"""Rules of `spec.escalation` of a ModelRoute."""

from typing import Final

from smallmodel_operator.api.rule import Rule, Value

_BY: Final = ("complexity", "confidence")


def _given(spec: Value) -> Value:
    found = spec.get("escalation")
    return found if isinstance(found, dict) else {}


def _order(spec: Value) -> list[Value]:
    found = _given(spec).get("order")
    return found if isinstance(found, list) else []


def _names(spec: Value) -> list[Value]:
    found = spec.get("targets")
    return [t.get("name") for t in found if isinstance(t, dict)] if isinstance(found, list) else []


ESCALATION_RULES: Final[tuple[Rule, ...]] = (
    Rule(
        "ModelRoute",
        "spec",
        "!has(self.escalation) || self.escalation.order.all(o, self.targets.exists(t, t.name == o))",
        "spec.escalation.order",
        "`spec.escalation.order` must name targets of `spec.targets`: correct it, or add the target.",
        lambda s: all(name in _names(s) for name in _order(s)),
    ),
    Rule(
        "ModelRoute",
        "spec",
        "!has(self.escalation) || (has(self.default) && self.default != '')",
        "spec.escalation",
        "`spec.default` must name the target of requests that are not escalated; weights cannot be combined with "
        "`spec.escalation`.",
        lambda s: not _given(s) or bool(s.get("default")),
    ),
    Rule(
        "ModelRoute",
        "spec",
        "!has(self.escalation) || !has(self.default) || self.escalation.order.all(o, o != self.default)",
        "spec.escalation.order",
        "`spec.escalation.order` must not name `spec.default`: that is what requests are escalated from. Remove it "
        "from the list.",
        lambda s: s.get("default") not in _order(s),
    ),
    Rule(
        "ModelRoute",
        "spec.escalation",
        "has(self.complexity) || has(self.confidence) || (has(self.onUnavailable) && self.onUnavailable)",
        "spec.escalation",
        "`spec.escalation` must say when: give `complexity`, `confidence`, or `onUnavailable: true`.",
        lambda e: any(isinstance(e.get(n), dict) for n in _BY) or e.get("onUnavailable") is True,
    ),
    Rule(
        "ModelRoute",
        "spec.escalation",
        "!(has(self.complexity) && has(self.confidence))",
        "spec.escalation",
        "`spec.escalation` must have one of `complexity` and `confidence`: both share `maxPercent`; keep the one "
        "that tells more of your requests (`slm route evaluate`, `slm route confidence`).",
        lambda e: not all(isinstance(e.get(n), dict) for n in _BY),
    ),
)
