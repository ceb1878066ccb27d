"""Rules of ClusterBoundary."""

from typing import Final

from smallmodel_operator.api.names import BOUNDARY
from smallmodel_operator.api.rule import Rule

_ONLY: Final = (
    "must be Denied or unset: it only forbids targets outside the cluster, and routes say which requests may go there."
)

BOUNDARY_RULES: Final[tuple[Rule, ...]] = (
    Rule(
        "ClusterBoundary",
        "",
        f"self.metadata.name == '{BOUNDARY}'",
        "metadata.name",
        f"`metadata.name` must be {BOUNDARY}: there is one ClusterBoundary for all gateways; change that one "
        f"(kubectl edit clusterboundary {BOUNDARY}, or slm boundary).",
        lambda o: (o.get("metadata") or {}).get("name") == BOUNDARY,
    ),
    Rule(
        "ClusterBoundary",
        "spec",
        "!has(self.external) || self.external == 'Denied'",
        "spec.external",
        f"`spec.external` {_ONLY}",
        lambda s: s.get("external") in (None, "Denied"),
    ),
    Rule(
        "ClusterBoundary",
        "spec.namespaces[]",
        "!has(self.external) || self.external == 'Denied'",
        "spec.namespaces.external",
        f"`external` of a namespace {_ONLY}",
        lambda n: n.get("external") in (None, "Denied"),
    ),
)
