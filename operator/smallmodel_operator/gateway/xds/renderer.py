"""Envoy's whole configuration from values."""

from collections.abc import Mapping
from typing import Any

from smallmodel_operator.gateway.state import State
from smallmodel_operator.gateway.xds import bootstrap as starting
from smallmodel_operator.gateway.xds import clusters, endpoints, listener, routes, within
from smallmodel_operator.gateway.xds.site import Site


def bootstrap(site: Site) -> dict[str, Any]:
    """What Envoy starts with."""
    return starting.bootstrap(site)


def everything(state: State, site: Site) -> dict[str, Any]:
    """All discovery files but the endpoints: relative path to JSON value."""
    return {
        "xds/cds.json": clusters.clusters(state, site),
        "xds/rds.json": routes.routes(state, site),
        "xds/sds.json": listener.certificates(site),
        "xds/lds.json": listener.listeners(state, site),
    }


def files(state: State, site: Site) -> dict[str, Any]:
    """All discovery files, endpoints included."""
    found = {endpoints.path_of(t): endpoints.endpoints(state, site, t) for t in state.clusters}
    return {**everything(state, site), **found}


class EnvoyRenderer:
    """What the agent writes its files with."""

    def __init__(self, site: Site) -> None:
        self.site = site

    def bootstrap(self) -> Any:
        """bootstrap.json."""
        return bootstrap(self.site)

    def everything(self, state: State) -> Mapping[str, Any]:
        """All files but endpoints."""
        return everything(state, self.site)

    def endpoints(self, state: State, target: str) -> tuple[str, Any]:
        """The endpoint file of one target: its path and its value."""
        return endpoints.path_of(target), endpoints.endpoints(state, self.site, target)

    def leaks(self, state: State, files: Mapping[str, Any], target: str = "") -> list[str]:
        """Paths that lead outside the cluster: of a whole configuration, or of the endpoints of one target."""
        return within.leaks(state, self.site, files, target)

    def strangers(self, state: State, upstreams: Mapping[str, frozenset[tuple[str, int]]]) -> list[str]:
        """Addresses Envoy says that it leads to, and that are outside."""
        return within.strangers(state, self.site, upstreams)
