"""Rules of spec.scaling."""

from typing import Any, Final

from smallmodel_operator.api.rule import Rule

_FOLLOWS: Final = "(has(self.mode) && self.mode == 'Objective')"
_EXTERNAL: Final = "(has(self.mode) && self.mode == 'External')"
_OURS: Final = ("minReplicas", "maxReplicas", "idleSeconds", "objectives")
"""What says how many replicas the operator may take: in mode External it takes none."""


def _objective(scaling: Any) -> bool:
    return bool(scaling.get("mode") == "Objective")


def _external(scaling: Any) -> bool:
    return bool(scaling.get("mode") == "External")


def _least(scaling: Any) -> int:
    return int(scaling.get("minReplicas") or 0)


SCALING_RULES: Final[tuple[Rule, ...]] = (
    Rule(
        "SmallModel",
        "spec.scaling",
        f"{_FOLLOWS} || {_EXTERNAL} || !has(self.minReplicas) || self.minReplicas == 0",
        "spec.scaling.minReplicas",
        "`spec.scaling.minReplicas` must be 0 or unset in mode Manual: awake, the count is `spec.replicas`.",
        lambda s: _objective(s) or _external(s) or s.get("minReplicas") in (None, 0),
    ),
    Rule(
        "SmallModel",
        "spec.scaling",
        f"{_EXTERNAL} || !has(self.idleSeconds) || (has(self.minReplicas) && self.minReplicas == 0)",
        "spec.scaling.idleSeconds",
        "`spec.scaling.idleSeconds` must be unset without `minReplicas: 0`: such a model never sleeps.",
        lambda s: _external(s) or s.get("idleSeconds") is None or s.get("minReplicas") == 0,
    ),
    Rule(
        "SmallModel",
        "spec.scaling",
        f"{_FOLLOWS} || {_EXTERNAL} || (!has(self.maxReplicas) && !has(self.objectives))",
        "spec.scaling.mode",
        "`spec.scaling.maxReplicas` and `objectives` must be unset in mode Manual: the count is `spec.replicas`. For "
        "replicas that follow an objective set `spec.scaling.mode: Objective`.",
        lambda s: _objective(s) or _external(s) or (s.get("maxReplicas") is None and s.get("objectives") is None),
    ),
    Rule(
        "SmallModel",
        "spec.scaling",
        f"!{_EXTERNAL} || ({' && '.join(f'!has(self.{field})' for field in _OURS)})",
        "spec.scaling.mode",
        "`spec.scaling.minReplicas`, `maxReplicas`, `idleSeconds` and `objectives` must be unset in mode External: "
        "whoever writes `spec.replicas` through the scale subresource has limits and targets of its own.",
        lambda s: not _external(s) or all(s.get(field) is None for field in _OURS),
    ),
    Rule(
        "SmallModel",
        "spec.scaling",
        f"!{_FOLLOWS} || (has(self.maxReplicas) && has(self.objectives))",
        "spec.scaling.objectives",
        "`spec.scaling.maxReplicas` and `objectives.latency` must be set in mode Objective: they say what must hold, "
        "and with how many replicas at most.",
        lambda s: not _objective(s) or (s.get("maxReplicas") is not None and s.get("objectives") is not None),
    ),
    Rule(
        "SmallModel",
        "spec.scaling",
        "!has(self.maxReplicas) || !has(self.minReplicas) || self.minReplicas <= self.maxReplicas",
        "spec.scaling.maxReplicas",
        "`spec.scaling.maxReplicas` must not be less than `minReplicas`.",
        lambda s: s.get("maxReplicas") is None or _least(s) <= int(s["maxReplicas"]),
    ),
    Rule(
        "SmallModel",
        "spec",
        "!has(self.scaling) || !has(self.scaling.mode) || self.scaling.mode != 'Objective' || !has(self.replicas) || "
        "self.replicas == 1",
        "spec.replicas",
        "`spec.replicas` must be 1 in mode Objective, where the operator counts: set `spec.scaling.minReplicas` and "
        "`maxReplicas`, or `spec.suspend: true` to switch it off.",
        lambda s: not _objective(s.get("scaling") or {}) or s.get("replicas", 1) == 1,
    ),
    Rule(
        "SmallModel",
        "spec.scaling",
        f"!has(self.priority) || {_FOLLOWS} || (has(self.minReplicas) && self.minReplicas == 0)",
        "spec.scaling.priority",
        "`spec.scaling.priority` must be unset where the number of replicas is fixed: such a model keeps its room. Set "
        "`minReplicas: 0`, so that it may sleep, or `mode: Objective`.",
        lambda s: s.get("priority") is None or _objective(s) or s.get("minReplicas") == 0,
    ),
)
