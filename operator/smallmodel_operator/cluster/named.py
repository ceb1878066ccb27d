"""What the watches have seen of names: SmallModels and ModelRoutes share those of their namespace."""

from collections.abc import Iterable, Mapping
from typing import Any

from smallmodel_operator.cluster.children import ModelKey
from smallmodel_operator.core.facts import Object
from smallmodel_operator.core.routes import Served, route_has_name


class Named:
    """Indices by (namespace, name)."""

    def __init__(self) -> None:
        self.routes: Mapping[Any, Iterable[str]] = {}
        """When each ModelRoute was created."""
        self.served: Mapping[Any, Iterable[Served]] = {}
        """What routes have to know of each SmallModel."""

    def model(self, key: ModelKey) -> Served | None:
        """A SmallModel as routes see it; None: there is none."""
        return next(iter(self.served.get(key, ())), None)

    def is_a_routes(self, model: Object) -> bool:
        """Has an older ModelRoute the name of a SmallModel?"""
        meta = model["metadata"]
        route = next(iter(self.routes.get((meta["namespace"], meta["name"]), ())), "")
        return route_has_name(route, str(meta.get("creationTimestamp") or ""))

    def all(self, models: set[ModelKey] | None) -> set[ModelKey] | None:
        """Models and routes together; None while the models are not known."""
        return None if models is None else models | {(key[0], key[1]) for key in self.routes}
