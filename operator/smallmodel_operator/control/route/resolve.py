"""A ModelRoute with every question answered that does not depend on what the cluster looks like now. Pure."""

from dataclasses import dataclass

from smallmodel_operator.api.v1alpha1.modelroute import ModelRoute, RouteAccess
from smallmodel_operator.core.facts import Object
from smallmodel_operator.core.parse import parsed
from smallmodel_operator.core.routes import shares
from smallmodel_operator.resolve import Site


@dataclass(frozen=True, slots=True)
class Target:
    """Where requests may go. `share`: of those that name no target, against the shares of the others."""

    name: str
    namespace: str
    model: str
    share: int

    @property
    def key(self) -> tuple[str, str]:
        """(namespace, name) of the SmallModel."""
        return self.namespace, self.model

    @property
    def path(self) -> str:
        """The SmallModel in one word."""
        return f"{self.namespace}/{self.model}"


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
    share = shares({t.name: t.weight for t in spec.targets}, spec.default)
    return Route(
        name=meta["name"],
        namespace=meta["namespace"],
        uid=meta["uid"],
        created=str(meta.get("creationTimestamp") or ""),
        targets=tuple(
            Target(t.name, t.small_model_ref.namespace or meta["namespace"], t.small_model_ref.name, share[t.name])
            for t in spec.targets
        ),
        access=spec.access,
        site=site,
    )
