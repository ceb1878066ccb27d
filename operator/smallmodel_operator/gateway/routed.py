"""One ModelRoute as the gateway sees it, and who has a name that a route and a model want. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from smallmodel_operator.core.routes import route_has_name, shares
from smallmodel_operator.gateway.state import Access, Model, Object, access_of


@dataclass(frozen=True, slots=True)
class Lead:
    """A target: its name, the SmallModel as `<namespace>/<name>`, and its share of requests that name none."""

    name: str
    target: str
    share: int


@dataclass(frozen=True, slots=True)
class Route:
    """One ModelRoute."""

    namespace: str
    name: str
    created: str
    access: Access
    leads: tuple[Lead, ...]
    stopped: bool = False
    """An administrator has stopped inference there."""

    @property
    def path(self) -> str:
        """`<namespace>/<name>`, in the same space of names as the targets of models."""
        return f"{self.namespace}/{self.name}"

    @classmethod
    def of(cls, body: Object) -> "Route":
        """Read a ModelRoute; what an older object lacks has the CRD's default."""
        meta, spec = body["metadata"], body["spec"]
        targets = spec["targets"]
        share = shares({t["name"]: t.get("weight") for t in targets}, spec.get("default", ""))
        return cls(
            namespace=meta["namespace"],
            name=meta["name"],
            created=str(meta.get("creationTimestamp") or ""),
            access=access_of(meta["namespace"], meta["name"], spec.get("access", {})),
            leads=tuple(
                Lead(t["name"], _target(meta["namespace"], t["smallModelRef"]), share[t["name"]]) for t in targets
            ),
        )

    def why_not(self, lead: Lead, models: Mapping[str, Model]) -> str:
        """Why a target answers nobody whatever becomes of its pods: `missing` or `forbidden`; `ok`: it may."""
        model = models.get(lead.target)
        if model is None:
            return "missing"
        return "ok" if f"ns:{self.namespace}" in model.access.allow else "forbidden"


def _target(namespace: str, ref: Object) -> str:
    return f"{ref.get('namespace') or namespace}/{ref['name']}"


def named(models: Mapping[str, Model], routes: Mapping[str, Route]) -> tuple[dict[str, Model], dict[str, Route]]:
    """Models and routes by path, where each name means one of them only: the older one."""
    lost = {p for p, r in routes.items() if p in models and not route_has_name(r.created, models[p].created)}
    kept = {path: route for path, route in routes.items() if path not in lost}
    return {target: model for target, model in models.items() if target not in kept}, kept
