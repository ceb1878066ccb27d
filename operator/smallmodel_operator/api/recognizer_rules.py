"""Rules of `spec.boundary.recognizers` of a ModelRoute."""

from typing import Final

from smallmodel_operator.api.rule import Rule, Value


def _listed(boundary: Value) -> list[Value]:
    found = boundary.get("recognizers")
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def _detectors(value: Value) -> list[Value]:
    found = value.get("detectors")
    return found if isinstance(found, list) else []


RECOGNIZER_RULES: Final[tuple[Rule, ...]] = (
    Rule(
        "ModelRoute",
        "spec.boundary.recognizers[]",
        "has(self.service) != has(self.smallModelRef)",
        "spec.boundary.recognizers",
        "An entry of `spec.boundary.recognizers` must have exactly one of `service` (a program of yours) and "
        "`smallModelRef` (a SmallModel), both of the route's namespace.",
        lambda r: (r.get("service") is not None) != (r.get("smallModelRef") is not None),
    ),
    Rule(
        "ModelRoute",
        "spec.boundary",
        "!has(self.recognizers) || self.recognizers.all(r, has(self.detectors) && "
        "r.detectors.all(d, self.detectors.exists(own, own == d)))",
        "spec.boundary.recognizers",
        "`detectors` of an entry of `spec.boundary.recognizers` must be among `spec.boundary.detectors`: add them "
        "there, or it would never be asked.",
        lambda b: all(set(_detectors(r)) <= set(_detectors(b)) for r in _listed(b)),
    ),
)
