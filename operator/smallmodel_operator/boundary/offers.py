"""What routes offer to the egress, and which of it the egress is made of. Pure."""

import base64
import binascii
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from smallmodel_operator.boundary.declared import MOST, Declared, load

Key = tuple[str, str]
"""(namespace, name) of a route."""
HOSTS: Final = "hosts.json"
"""Entry of the egress's ConfigMap with the declared hosts."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A host that a route declares, with what requests there carry; empty where it declares no credential."""

    host: Declared
    credential: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Way:
    """How the way out stands. `installed`: the chart's `egress.enabled`.

    `serving`: names of the hosts that the running egress leads to; `beyond`: of those it has no room for.
    """

    installed: bool = False
    serving: frozenset[str] = frozenset()
    beyond: frozenset[str] = frozenset()


def owner(name: str) -> Key:
    """The route of a declared host, by its name."""
    namespace, route, _ = name.split("/")
    return namespace, route


def merged(
    stored: Mapping[str, Offer], offered: Mapping[Key, Iterable[Offer]], alive: Collection[Key] | None
) -> dict[str, Offer]:
    """What the egress should be made of, by name: what was offered, and of what it is made of now that of routes which
    still have to offer.

    Args:
        stored: what it is made of now.
        offered: by route; it replaces all of that route's.
        alive: routes that exist; None: not known, so nothing of those that have not offered is dropped.
    """
    found = {n: o for n, o in stored.items() if owner(n) not in offered and (alive is None or owner(n) in alive)}
    for key, offers in offered.items():
        if alive is None or key in alive:
            found |= {offer.host.name: offer for offer in offers}
    return found


def fitting(wanted: Mapping[str, Offer], before: Collection[str]) -> dict[str, Offer]:
    """At most as many as the egress takes: those that are there first, so that a new one pushes none out."""
    ranked = sorted(wanted, key=lambda name: (name not in before, name))
    return {name: wanted[name] for name in sorted(ranked[:MOST])}


def stored(config_map: Mapping[str, Any] | None, secret: Mapping[str, Any] | None) -> dict[str, Offer]:
    """What the egress is made of, from its ConfigMap and its Secret; a host without the credential it has to have is
    left out, and of what cannot be read nothing counts."""
    try:
        hosts = load(((config_map or {}).get("data") or {}).get(HOSTS, ""))
        data = {k: base64.b64decode(v, validate=True).decode() for k, v in ((secret or {}).get("data") or {}).items()}
    except (ValueError, binascii.Error):
        return {}
    return {h.name: Offer(h, data[h.file] if h.credential else "") for h in hosts if not h.credential or h.file in data}
