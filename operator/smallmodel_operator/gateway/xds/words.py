"""Words that several parts of Envoy's configuration share."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

METADATA: Final = "smallmodel"
"""Namespace of dynamic metadata: `call` and `usage` (texts with bars, see accesslog/format.py), `model` of the body
where it is not the target's name, `error` the cause of a status from 400 on, `hmac` of the request where its model
wants one, `left` where a request was on its way out, `failure` what it was told there, `own` set when the Lua filters
answered themselves. Few, and no tables: from Lua a text costs 3 µs to set, a table 10."""
ASKED: Final = "x-slm-asked"
"""What the door decides by, in one text: to read a header from Lua takes 2.5 µs. It has the caller's credential, so the
routes take it away, as they replace `Authorization`."""
ROUTE: Final = "x-slm-route"
"""`<target>|<model of the body>`: what a route is found by."""
PLACE: Final = "x-slm-model-at"
"""`<from>,<to>`: bytes of the body where its model stands, for requests that may be a route's."""
ADAPTER: Final = "x-slm-adapter"
"""The adapter that a request to a route names, from the filter that asks for a decision to the one that follows it."""
BODIES: Final = "bodies"
RATE_LIMIT: Final = "envoy.filters.http.local_ratelimit"

_PREFIX: Final = "type.googleapis.com/"
LISTENER: Final = "envoy.config.listener.v3.Listener"
CLUSTER: Final = "envoy.config.cluster.v3.Cluster"
ROUTES: Final = "envoy.config.route.v3.RouteConfiguration"
ENDPOINTS: Final = "envoy.config.endpoint.v3.ClusterLoadAssignment"
CERTIFICATES: Final = "envoy.extensions.transport_sockets.tls.v3.Secret"


def typed(kind: str, **fields: Any) -> dict[str, Any]:
    """A message in an `Any`."""
    return {"@type": _PREFIX + kind, **fields}


def extension(name: str, kind: str, **fields: Any) -> dict[str, Any]:
    """A named extension with its configuration."""
    return {"name": name, "typed_config": typed(kind, **fields)}


def resources(kind: str, items: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A discovery file."""
    return {"resources": [typed(kind, **item) for item in items]}


def file_source(path: Path) -> dict[str, Any]:
    """Read from a file, and again when it is replaced.

    Without a watched directory: that would read every file again whenever any of them is replaced.
    """
    return {"path_config_source": {"path": str(path)}, "resource_api_version": "V3"}


def seconds(value: float) -> str:
    """A duration."""
    return f"{value:.3f}".rstrip("0").rstrip(".") + "s"


def header(name: str, value: str) -> dict[str, Any]:
    """Set a header, whatever was there before; a percent sign in the value is meant as it is."""
    return formatted(name, value.replace("%", "%%"))


def formatted(name: str, value: str) -> dict[str, Any]:
    """Set a header to a value with command operators."""
    return {"header": {"key": name, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
