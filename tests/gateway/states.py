"""States for gateway tests: models of two namespaces, keys that open them."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from smallmodel_operator.core.keys import Identity, hashed
from smallmodel_operator.gateway.state import Access, Endpoint, Model, State

MASTER = b"m" * 32
SUPPORT, CRM, PARTNER = "slm-support", "slm-crm", "partner-key"
"""Keys: of support's model bot, of crm's model notes, and one listed by support/bot only."""
KEYS = {
    hashed(SUPPORT): Identity("support", "key:support/bot"),
    hashed(CRM): Identity("crm", "key:crm/notes"),
    hashed(PARTNER): Identity("", "key:support/bot/partner"),
}


def model(target: str, allow: tuple[str, ...] = (), **fields: Any) -> Model:
    """A model its own namespace may call, and `allow`."""
    namespace, _, name = target.partition("/")
    limits = {k: fields.pop(k) for k in ("requests_per_minute", "max_body_bytes") if k in fields}
    access = Access(frozenset({f"ns:{namespace}", *allow}), **limits)
    defaults = {"uid": f"uid-{target}", "digest": f"sha256:{name}"}
    return Model(namespace, name, access=access, **{**defaults, **fields})


def state_of(models: tuple[Model, ...], ports: Mapping[str, int], **fields: Any) -> State:
    """Every model has one pod on a port of loopback, by target; without a port it has none."""
    endpoints = {target: (Endpoint("127.0.0.1", port, ready=True),) for target, port in ports.items()}
    base = State({m.target: m for m in models}, endpoints, KEYS, MASTER)
    return replace(base, **fields)
