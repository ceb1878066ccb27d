"""Rules of spec.scaling."""

from typing import Final

from smallmodel_operator.api.rule import Rule

SCALING_RULES: Final[tuple[Rule, ...]] = (
    Rule(
        "SmallModel",
        "spec.scaling",
        "!has(self.minReplicas) || self.minReplicas == 0",
        "spec.scaling.minReplicas",
        "`spec.scaling.minReplicas` must be 0 or unset in mode Manual: awake, the count is `spec.replicas`.",
        lambda s: s.get("minReplicas") in (None, 0),
    ),
    Rule(
        "SmallModel",
        "spec.scaling",
        "!has(self.idleSeconds) || has(self.minReplicas)",
        "spec.scaling.idleSeconds",
        "`spec.scaling.idleSeconds` must be unset without `minReplicas: 0`: such a model never sleeps.",
        lambda s: s.get("idleSeconds") is None or s.get("minReplicas") is not None,
    ),
)
