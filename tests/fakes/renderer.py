"""A renderer of gateway configuration that shows what it was given, for tests that are not about Envoy."""

from collections.abc import Mapping
from typing import Any

from smallmodel_operator.gateway.state import State

ASSIGNMENT = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"


class PlainRenderer:
    """Names and addresses, nothing else. `broken` names a model that cannot be rendered, `leaky` an address
    that counts as outside."""

    broken = ""
    leaky = ""

    def bootstrap(self) -> Any:
        return {"node": "test"}

    def everything(self, state: State) -> dict[str, Any]:
        if self.broken in state.models:
            raise ValueError("broken on purpose")
        return {
            "xds/cds.json": sorted(state.models),
            "xds/rds.json": {"keys": sorted(state.keys), "models": sorted(state.models)},
            "xds/lds.json": state.issuer.issuer if state.issuer else None,
        }

    def endpoints(self, state: State, target: str) -> tuple[str, Any]:
        found = [
            {"endpoint": {"address": {"socket_address": {"address": e.address, "port_value": e.port}}}}
            for e in state.endpoints.get(target, ())
        ]
        assignment = {"@type": ASSIGNMENT, "cluster_name": target, "endpoints": [{"lb_endpoints": found}]}
        return f"xds/eds/{target.replace('/', '.')}.json", {"resources": [assignment]}

    def leaks(self, state: State, files: Mapping[str, Any], target: str = "") -> list[str]:
        return [f"{name} -> {self.leaky}" for name in sorted(files) if self.leaky and self.leaky in str(files[name])]

    def strangers(self, state: State, upstreams: Mapping[str, frozenset[tuple[str, int]]]) -> list[str]:
        return [f"{name} -> {self.leaky}" for name, to in sorted(upstreams.items()) if (self.leaky, 0) in to]
