"""What routes have to know of SmallModels, and who has a name that a model and a route want. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from smallmodel_operator.core.facts import Object


@dataclass(frozen=True, slots=True)
class Served:
    """One SmallModel as routes see it. `namespaces` are those it lets in besides its own."""

    created: str
    namespaces: frozenset[str] = frozenset()
    ready: bool = False
    reason: str = ""
    message: str = ""
    adapters: frozenset[str] = frozenset()

    def consents(self, own: str, namespace: str) -> bool:
        """May routes of `namespace` lead to it, which is in `own`?"""
        return namespace == own or namespace in self.namespaces


def served(body: Object) -> Served:
    """Read a SmallModel."""
    conditions = (body.get("status") or {}).get("conditions") or ()
    ready: Mapping[str, Any] = next((c for c in conditions if c.get("type") == "Ready"), {})
    access = (body.get("spec") or {}).get("access") or {}
    answers = ready.get("status") == "True"
    return Served(
        created=str(body["metadata"].get("creationTimestamp") or ""),
        namespaces=frozenset(access.get("namespaces") or ()),
        ready=answers,
        reason=str(ready.get("reason") or ""),
        message="" if answers else str(ready.get("message") or "")[:512],
        adapters=frozenset(str(a.get("name")) for a in (body.get("spec") or {}).get("adapters") or ()),
    )


def route_has_name(route_created: str, model_created: str) -> bool:
    """Of a route and a SmallModel with one name, is it the route's? The older's; the model's where both are as old."""
    return bool(route_created) and route_created < model_created


def shares(weights: Mapping[str, int | None], default: str) -> dict[str, int]:
    """Of requests that name no target: each target's share, by its name, against those of the others. `weights`: as
    declared, by target; the rules of the API see to it that one share is above 0."""
    if default or len(weights) == 1:
        return {name: int(name == default or len(weights) == 1) for name in weights}
    return {name: weight or 0 for name, weight in weights.items()}


def referred(body: Object) -> Iterable[tuple[str, str]]:
    """The SmallModels a ModelRoute names, as (namespace, name); what is not of the right shape is left out."""
    spec = body.get("spec") or {}
    for target in spec.get("targets") or ():
        ref = target.get("smallModelRef") or {}
        if ref.get("name"):
            yield str(ref.get("namespace") or body["metadata"]["namespace"]), str(ref["name"])
    for recognizer in (spec.get("boundary") or {}).get("recognizers") or ():
        if name := (recognizer.get("smallModelRef") or {}).get("name"):
            yield str(body["metadata"]["namespace"]), str(name)
