"""One ModelRoute as the gateway sees it, and who has a name that a route and a model want. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from smallmodel_operator.budget.limit import Limit, limit_of
from smallmodel_operator.core.routes import route_has_name, shares
from smallmodel_operator.gateway.state import Access, Model, Object, access_of
from smallmodel_operator.routing.policy import Match, Need, Rule


@dataclass(frozen=True, slots=True)
class Lead:
    """A target: its name, the SmallModel as `<namespace>/<name>`, and its share of requests that name none."""

    name: str
    target: str
    share: int


@dataclass(frozen=True, slots=True)
class Reference:
    """An entry of a ConfigMap with a classifier. `digest`: of the one the operator has read last; empty: of none."""

    namespace: str
    name: str
    key: str
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Choice:
    """How a route's requests are told apart. `least`: probability a class needs; None: what the classifier says."""

    rules: tuple[Rule, ...]
    default: str
    classifier: Reference | None = None
    least: float | None = None


@dataclass(frozen=True, slots=True)
class Route:
    """One ModelRoute. `choice`: None where what a request is makes no difference."""

    namespace: str
    name: str
    created: str
    access: Access
    leads: tuple[Lead, ...]
    stopped: bool = False
    """An administrator has stopped inference there."""
    choice: Choice | None = None
    budgets: tuple[Limit, ...] = ()

    @property
    def asks(self) -> bool:
        """Are its requests asked for at the agent? Those that name a target are where they are counted."""
        return self.choice is not None or bool(self.budgets)

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
                Lead(t["name"], _target(meta["namespace"], t["smallModelRef"]), share[t["name"]])
                for t in targets
                if t.get("smallModelRef")  # no gateway leads outside the cluster
            ),
            choice=_choice(meta["namespace"], spec, body.get("status", {})),
            budgets=tuple(map(limit_of, spec.get("budgets", ()))),
        )

    def why_not(self, lead: Lead, models: Mapping[str, Model]) -> str:
        """Why a target answers nobody whatever becomes of its pods: `missing` or `forbidden`; `ok`: it may."""
        model = models.get(lead.target)
        if model is None:
            return "missing"
        return "ok" if f"ns:{self.namespace}" in model.access.allow else "forbidden"


def _choice(namespace: str, spec: Object, status: Object) -> Choice | None:
    """The classifier is of the route's own namespace, always."""
    rules = spec.get("rules")
    if not rules:
        return None
    found, given = None, spec.get("classifier")
    if given:
        ref, read = given["configMapRef"], (status.get("classifier") or {}).get("digest", "")
        found = Reference(namespace, ref["name"], ref.get("key", "tasks.json"), str(read))
    threshold = (given or {}).get("threshold")
    return Choice(tuple(map(_rule, rules)), spec.get("default", ""), found, float(threshold) if threshold else None)


def _rule(rule: Object) -> Rule:
    given = rule["match"]
    needs = tuple(Need(need) for need in given.get("requires", ()))
    return Rule(rule["name"], Match(given.get("taskClass", ""), needs, given.get("contextTokensOver")), rule["target"])


def _target(namespace: str, ref: Object) -> str:
    return f"{ref.get('namespace') or namespace}/{ref['name']}"


def named(models: Mapping[str, Model], routes: Mapping[str, Route]) -> tuple[dict[str, Model], dict[str, Route]]:
    """Models and routes by path, where each name means one of them only: the older one."""
    lost = {p for p, r in routes.items() if p in models and not route_has_name(r.created, models[p].created)}
    kept = {path: route for path, route in routes.items() if path not in lost}
    return {target: model for target, model in models.items() if target not in kept}, kept
