"""One ModelRoute as the gateway sees it, and who has a name that a route and a model want. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from smallmodel_operator.audit.content.sealed import Form
from smallmodel_operator.budget.limit import Limit, limit_of
from smallmodel_operator.budget.price import Price, price_of
from smallmodel_operator.core.routes import route_has_name, shares
from smallmodel_operator.gateway.state import Access, Model, Object, access_of
from smallmodel_operator.routing import declared
from smallmodel_operator.routing.choice import given
from smallmodel_operator.routing.policy import Boundary, Confidence, Match, Measure, Need, Rule, Within
from smallmodel_operator.routing.tools.check import Bounds

DISABLED: Final = "Disabled"
MODEL: Final = re.compile(r"[-A-Za-z0-9._:/@+]{1,128}")
"""Names the outside may have for a model, as the API server lets them in: each is the same inside quotes of JSON."""


@dataclass(frozen=True, slots=True)
class Lead:
    """A target: its name, the SmallModel as `<namespace>/<name>`, and its share of requests that name none.

    `outside`: what the outside calls its model; `target` is then `<namespace>/<route>/<target>`, which no model is.
    `price`: what it asks for, if that is known.
    """

    name: str
    target: str
    share: int
    outside: str = ""
    price: Price | None = None


@dataclass(frozen=True, slots=True)
class Reference:
    """An entry of a ConfigMap with a classifier. `digest`: of the one the operator has read last; empty: of none."""

    namespace: str
    name: str
    key: str
    digest: str = ""
    field: str = given.TASKS
    """That names it: which kind of classifier it has to be."""


@dataclass(frozen=True, slots=True)
class Escalation:
    """`spec.escalation`. `threshold`: least probability; None: what `most_percent` leaves."""

    order: tuple[str, ...]
    classifier: Reference | None = None
    threshold: float | None = None
    on_unavailable: bool = False
    most_percent: float = 20.0
    window_seconds: float = 3600.0
    confidence: Confidence | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """How a route's requests are told apart. `least`: probability a class needs; None: what the classifier says."""

    rules: tuple[Rule, ...]
    default: str
    classifier: Reference | None = None
    least: float | None = None
    escalation: Escalation | None = None

    @property
    def classifiers(self) -> tuple[Reference, ...]:
        """All it names."""
        return tuple(one for one in (self.classifier, self.escalation and self.escalation.classifier) if one)


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
    boundary: Boundary = field(default_factory=Boundary)
    """What must stay inside, where a target is outside."""
    tools: Bounds | None = None
    content: str = ""
    """In which form requests are kept; empty: none is."""

    @property
    def asks(self) -> bool:
        """Are its requests asked for at the agent? Those that name a target are where it is outside."""
        return self.choice is not None or self.asks_always

    @property
    def asks_always(self) -> bool:
        """Those that name a target are, whichever: they are counted or kept, or their tools are looked at."""
        return bool(self.budgets or self.content) or self.tools is not None

    @property
    def decides(self) -> bool:
        """Do requests that name no target wait for a decision?"""
        return self.choice is not None and bool(self.choice.rules or self.choice.escalation)

    @property
    def judges(self) -> bool:
        """Are answers of it judged?"""
        confidence = self.choice and self.choice.escalation and self.choice.escalation.confidence
        return bool(confidence or (self.tools and self.tools.verify_choice))

    @property
    def timed(self) -> frozenset[str]:
        """Models of which has to be known how fast they answer."""
        names = {name for rule in (self.choice.rules if self.choice else ()) if rule.within for name in rule.targets}
        return frozenset(lead.target for lead in self.leads if lead.name in names)

    def adapters(self, models: Mapping[str, Model]) -> tuple[str, ...]:
        """Those its rules name, and a model that such a rule chooses has loaded; sorted."""
        found = set()
        for rule in self.choice.rules if self.choice else ():
            behind = (models.get(lead.target) for lead in self.leads if lead.name in rule.targets)
            found |= {rule.match.adapter for model in behind if model and rule.match.adapter in dict(model.adapters)}
        return tuple(sorted(found))

    @property
    def outside(self) -> tuple[Lead, ...]:
        """Its targets outside."""
        return tuple(lead for lead in self.leads if lead.outside)

    @property
    def path(self) -> str:
        """`<namespace>/<name>`, in the same space of names as the targets of models."""
        return f"{self.namespace}/{self.name}"

    @classmethod
    def of(cls, body: Object) -> "Route":
        """Read a ModelRoute; what an older object lacks has the CRD's default."""
        meta, spec = body["metadata"], body["spec"]
        leads = _leads(meta["namespace"], meta["name"], spec)
        return cls(
            namespace=meta["namespace"],
            name=meta["name"],
            created=str(meta.get("creationTimestamp") or ""),
            access=access_of(meta["namespace"], meta["name"], spec.get("access", {})),
            leads=leads,
            choice=_choice(meta["namespace"], spec, body.get("status", {}), leads),
            budgets=tuple(map(limit_of, spec.get("budgets", ()))),
            boundary=declared.boundary(meta["namespace"], meta["name"], spec),
            tools=_tools(spec.get("tools")),
            content=_content(spec.get("audit") or {}),
        )

    def why_not(self, lead: Lead, models: Mapping[str, Model]) -> str:
        """Why a target answers nobody whatever becomes of its pods: `missing` or `forbidden`; `ok`: it may."""
        model = models.get(lead.target)
        if lead.outside:
            return "ok"
        if model is None:
            return "missing"
        return "ok" if f"ns:{self.namespace}" in model.access.allow else "forbidden"


def _leads(namespace: str, name: str, spec: Object) -> tuple[Lead, ...]:
    """Requests that name no target never go outside by lot: what must stay could not.

    Raises:
        ValueError: the API server holds a name that this release's rules would not let in.
    """
    inside = {t["name"]: t.get("weight") for t in spec["targets"] if not t.get("external")}
    share, found = shares(inside, spec.get("default", "")), []
    for target in spec["targets"]:
        own, external = target["name"], target.get("external")
        if external and not MODEL.fullmatch(external["model"]):
            raise ValueError(f"targets: {own!r} has a name for its model that no request can carry")
        where = f"{namespace}/{name}/{own}" if external else _target(namespace, target["smallModelRef"])
        price = external.get("price") if external else None
        outside = external["model"] if external else ""
        found.append(Lead(own, where, share.get(own, 0), outside, price_of(price) if price else None))
    return tuple(found)


def _choice(namespace: str, spec: Object, status: Object, leads: tuple[Lead, ...]) -> Choice | None:
    """Classifiers are of the route's own namespace, always. Without rules and escalation it is for those who name a
    target outside: a default there has to be, and gets nothing."""
    rules, escalation = spec.get("rules") or (), spec.get("escalation")
    if not rules and not escalation and not any(lead.outside for lead in leads):
        return None
    default = spec.get("default") or next((lead.name for lead in leads if not lead.outside), "")
    found, classifier = None, spec.get("classifier")
    if classifier:
        found = _reference(namespace, classifier["configMapRef"], "tasks.json", status.get("classifier"), given.TASKS)
    return Choice(
        tuple(map(_rule, rules)),
        default,
        found,
        _probability(classifier or {}),
        _escalation(namespace, escalation, status) if escalation else None,
    )


def _escalation(namespace: str, spec: Object, status: Object) -> Escalation:
    complexity, found = spec.get("complexity") or {}, None
    if complexity:
        read = status.get("escalation")
        found = _reference(namespace, complexity["classifierRef"], "escalation.json", read, given.HARD)
    return Escalation(
        tuple(spec["order"]),
        found,
        _probability(complexity),
        bool(spec.get("onUnavailable", False)),
        float(spec.get("maxPercent", 20)),
        float(spec.get("windowSeconds", 3600)),
        _confidence(spec.get("confidence")),
    )


def _confidence(given: Object | None) -> Confidence | None:
    return Confidence(float(given["below"]), Measure(given.get("measure", Measure.MEAN))) if given else None


def _reference(namespace: str, ref: Object, key: str, read: Object | None, field: str) -> Reference:
    return Reference(namespace, ref["name"], ref.get("key", key), str((read or {}).get("digest", "")), field)


def _probability(spec: Object) -> float | None:
    threshold = spec.get("threshold")
    return float(threshold) if threshold else None


def _tools(given: Object | None) -> Bounds | None:
    """An empty list of `allow` allows none; none allows all."""
    if given is None:
        return None
    allow = given.get("allow")
    most_calls, most_tokens = given.get("maxCallsPerConversation"), given.get("maxTokensPerConversation")
    verify = bool(given.get("verifyChoice", False))
    return Bounds(None if allow is None else frozenset(allow), most_calls, most_tokens, verify)


def _content(audit: Object) -> str:
    found = audit.get("content", DISABLED)
    return "" if found == DISABLED else Form(found).value


def _rule(rule: Object) -> Rule:
    given = rule.get("match") or {}
    needs = tuple(Need(need) for need in given.get("requires", ()))
    match = Match(given.get("taskClass", ""), needs, given.get("contextTokensOver"), given.get("adapter", ""))
    within = rule.get("withinDeadline")
    if within is None:
        return Rule(rule["name"], match, rule["target"])
    return Rule(rule["name"], match, within=Within(tuple(within["order"]), within.get("onMissed") != "Default"))


def _target(namespace: str, ref: Object) -> str:
    return f"{ref.get('namespace') or namespace}/{ref['name']}"


def named(models: Mapping[str, Model], routes: Mapping[str, Route]) -> tuple[dict[str, Model], dict[str, Route]]:
    """Models and routes by path, where each name means one of them only: the older one."""
    lost = {p for p, r in routes.items() if p in models and not route_has_name(r.created, models[p].created)}
    kept = {path: route for path, route in routes.items() if path not in lost}
    return {target: model for target, model in models.items() if target not in kept}, kept
