"""What an agent that starts again goes on with, besides its files: it may find no API server to ask."""

import base64
from typing import Any, Final

from smallmodel_operator.boundary.seal import Boundary
from smallmodel_operator.core.keys import dump, load
from smallmodel_operator.gateway.state import Issuer
from smallmodel_operator.gateway.view import Keys

KNOWN: Final = "known.json"
"""In the folder in memory, readable by the gateway only; it holds no more than the routes beside it."""


def remember(keys: Keys, issuer: Issuer | None, boundary: Boundary | None = None) -> dict[str, Any]:
    """As a JSON value."""
    value: dict[str, Any] = {"keys": dump(keys.table), "master": base64.b64encode(keys.engine_master).decode()}
    if issuer is not None:
        value["issuer"] = {"issuer": issuer.issuer, "keys": issuer.keys}
    if boundary is not None:
        value["boundary"] = boundary.dump()
    return value


def recall(value: Any) -> tuple[Keys | None, Issuer | None]:
    """What was remembered; None for what was not, or cannot be read."""
    try:
        keys = Keys(load(value["keys"]), base64.b64decode(value["master"]))
        issuer = value.get("issuer")
        return keys, Issuer(str(issuer["issuer"]), str(issuer["keys"])) if issuer else None
    except (KeyError, TypeError, ValueError, AttributeError):
        return None, None


def recall_boundary(value: Any) -> Boundary | None:
    """The boundary that was remembered; None when none was, or it cannot be read."""
    try:
        return Boundary.load(value["boundary"])
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
