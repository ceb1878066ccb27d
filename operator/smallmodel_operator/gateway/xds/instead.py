"""The way back in: a listener on a socket of the pod, for requests that were let out and failed there. Pure.

Envoy comes here by itself, with the body it has kept, when the first attempt has failed outside (leave.py): while all
goes well nobody passes here. Who decides is asked anew, says whose request it is and which model inside answers; from
there on it is a request like any other, with its own line in the log. Nothing that comes in here can leave: what steers
the gateway is dropped as at every door, passes among it, and who decides cannot say one here.
"""

from collections.abc import Mapping
from typing import Any, Final

from smallmodel_operator.gateway.xds import decide
from smallmodel_operator.gateway.xds.scripts import DOOR, TARGET
from smallmodel_operator.gateway.xds.site import Site
from smallmodel_operator.gateway.xds.words import extension

NAME: Final = "instead"
_KIND: Final = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
_ELSEWHERE: Final = frozenset({DOOR, TARGET, "envoy.filters.http.jwt_authn"})
"""What callers pass and these have passed."""


def listener(site: Site, manager: Mapping[str, Any]) -> dict[str, Any]:
    """`manager`: the connection manager of any door."""
    return door(NAME, site.instead_socket, inner(manager, decide.FAILED))


def door(name: str, socket: str, manager: Mapping[str, Any]) -> dict[str, Any]:
    """A listener on a socket of the pod."""
    http = extension("envoy.filters.network.http_connection_manager", _KIND, **manager)
    return {
        "name": name,
        "address": {"pipe": {"path": socket, "mode": 0o600}},
        "ignore_global_conn_limit": True,
        "filter_chains": [{"filters": [http]}],
    }


def inner(manager: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """The connection manager of an inner door, of that of any other; `kind`: which it is (decide.py)."""
    own = [one for one in manager["http_filters"] if one["name"] not in _ELSEWHERE]
    asked = [decide.decides(kind) if one["name"] == decide.NAME else one for one in own]
    (early,) = manager["early_header_mutation_extensions"]
    removed = [m for m in early["typed_config"]["mutations"] if "remove_on_match" in m]
    config = {**early["typed_config"], "mutations": removed}
    return {
        **manager,
        "http_filters": asked,
        "early_header_mutation_extensions": [{**early, "typed_config": config}],
        "preserve_external_request_id": True,
    }
