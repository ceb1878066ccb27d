"""A ModelRoute with every question answered that does not depend on what the cluster looks like now. Pure."""

from dataclasses import dataclass
from typing import Final

from smallmodel_operator.api.conditions import Reason
from smallmodel_operator.api.v1alpha1.access import SecretKeyReference
from smallmodel_operator.api.v1alpha1.modelroute import ModelRoute, ModelRouteSpec, RouteAccess
from smallmodel_operator.api.v1alpha1.route_choice import ClassifierKeyReference
from smallmodel_operator.api.v1alpha1.route_escalation import EscalationKeyReference
from smallmodel_operator.boundary.declared import Declared, Silence, parse
from smallmodel_operator.budget.limit import Limit, limit_of
from smallmodel_operator.core.facts import Object
from smallmodel_operator.core.outcome import Refused
from smallmodel_operator.core.parse import parsed
from smallmodel_operator.core.routes import shares
from smallmodel_operator.resolve import Site
from smallmodel_operator.routing import declared
from smallmodel_operator.routing.policy import Boundary

INSIDE: Final = Boundary()


@dataclass(frozen=True, slots=True)
class Target:
    """Where requests may go. `share`: of those that name no target, against the shares of the others.

    `ruled`: a rule sends some of them there.
    """

    name: str
    namespace: str
    model: str
    share: int
    ruled: bool = False

    @property
    def asked(self) -> bool:
        """Do requests go there that do not name it?"""
        return self.ruled or self.share > 0

    @property
    def key(self) -> tuple[str, str]:
        """(namespace, name) of the SmallModel."""
        return self.namespace, self.model

    @property
    def path(self) -> str:
        """The SmallModel in one word."""
        return f"{self.namespace}/{self.model}"


@dataclass(frozen=True, slots=True)
class Outside:
    """A target outside the cluster. `model`: what the outside calls it; `secret`: where its credential lies, if it has
    one."""

    name: str
    model: str
    host: Declared
    secret: SecretKeyReference | None = None


@dataclass(frozen=True, slots=True)
class Adapted:
    """A rule for requests for an adapter, and the names of the targets one of which has to have it."""

    rule: str
    adapter: str
    targets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Route:
    """One ModelRoute, resolved."""

    name: str
    namespace: str
    uid: str
    created: str
    targets: tuple[Target, ...]
    access: RouteAccess
    site: Site
    default: str = ""
    classifier: ClassifierKeyReference | None = None
    classes: frozenset[str] = frozenset()
    """Of tasks, that its rules ask for."""
    hardness: EscalationKeyReference | None = None
    """What says when to escalate."""
    instead: tuple[str, ...] = ()
    """Targets, in order, that answer for one that cannot."""
    outside: tuple[Outside, ...] = ()
    boundary: Boundary = INSIDE
    """What may go there."""
    budgets: tuple[Limit, ...] = ()
    adapted: tuple[Adapted, ...] = ()

    @property
    def path(self) -> str:
        """The route in one word."""
        return f"{self.namespace}/{self.name}"

    @property
    def url(self) -> str:
        """Base URL for an OpenAI client."""
        return self.site.url(self.name, self.namespace)


def resolve(body: Object, site: Site) -> Route:
    """Understand a ModelRoute.

    Raises:
        Refused: this release's schema and rules would not let it in.
    """
    spec, meta = parsed(ModelRoute, body).spec, body["metadata"]
    escalation = spec.escalation
    complexity = escalation.complexity if escalation else None
    share = shares({t.name: t.weight for t in spec.targets}, spec.default)
    ruled = {name for r in spec.rules for name in ([r.target] if r.target else [])} | {
        name for r in spec.rules if r.within_deadline for name in r.within_deadline.order
    }
    return Route(
        name=meta["name"],
        namespace=meta["namespace"],
        uid=meta["uid"],
        created=str(meta.get("creationTimestamp") or ""),
        targets=tuple(
            Target(t.name, ref.namespace or meta["namespace"], ref.name, share[t.name], t.name in ruled)
            for t in spec.targets
            if (ref := t.small_model_ref) is not None
        ),
        access=spec.access,
        site=site,
        default=spec.default,
        classifier=spec.classifier.config_map_ref if spec.classifier else None,
        classes=frozenset(rule.match.task_class for rule in spec.rules if rule.match.task_class),
        outside=_outside(f"{meta['namespace']}/{meta['name']}", spec),
        boundary=declared.boundary(meta["namespace"], meta["name"], body.get("spec") or {}),
        budgets=tuple(limit_of(b.model_dump(by_alias=True, exclude_none=True)) for b in spec.budgets),
        adapted=tuple(
            Adapted(r.name, r.match.adapter, tuple(r.within_deadline.order) if r.within_deadline else (r.target or "",))
            for r in spec.rules
            if r.match.adapter
        ),
        hardness=complexity.classifier_ref if complexity else None,
        instead=tuple(escalation.order) if escalation and escalation.on_unavailable else (),
    )


def _outside(path: str, spec: ModelRouteSpec) -> tuple[Outside, ...]:
    found = []
    for target in spec.targets:
        if (given := target.external) is None:
            continue
        secret = given.api_key_secret_ref
        try:
            silence = Silence(given.silence.stream_seconds, given.silence.answer_seconds)
            host = parse(f"{path}/{target.name}", given.url, credential=secret is not None, silence=silence)
        except ValueError as error:
            raise Refused(Reason.INVALID_SPEC, f"`spec.targets`: {error}.") from None
        found.append(Outside(target.name, given.model, host, secret))
    return tuple(found)
