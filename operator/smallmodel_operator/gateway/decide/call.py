"""A request that is decided on, as Envoy tells of it."""

from collections.abc import Sequence
from dataclasses import dataclass

from smallmodel_operator.routing.asked import Request


@dataclass(frozen=True, slots=True)
class Call:
    """A request of a caller to a route (`<namespace>/<name>`), as Envoy tells of it.

    `chosen`: `Named/<target>` or `Share/<target>` where its target is known already; empty: it is decided here.
    """

    route: str
    caller: str
    id: str
    request: Request
    chosen: str = ""
    said: Sequence[str] = ()
    """The values of its header with labels, as the caller says them."""
    place: str = ""
    """Where its body has the model's name: `<bytes before it>,<bytes with it>`."""
    namespace: str = ""
    """Of its caller; empty for keys without one."""
