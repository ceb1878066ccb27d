"""The keys of one model or route: the credentials concern's question, put together from what is resolved."""

from datetime import timedelta
from typing import Protocol

from smallmodel_operator.api.v1alpha1.access import Callers
from smallmodel_operator.boundary import credentials
from smallmodel_operator.core.facts import Snapshot
from smallmodel_operator.resolve import Site


class KeyHolder(Protocol):
    """What has an address and keys."""

    @property
    def name(self) -> str: ...
    @property
    def namespace(self) -> str: ...
    @property
    def uid(self) -> str: ...
    @property
    def url(self) -> str: ...
    @property
    def access(self) -> Callers: ...
    @property
    def site(self) -> Site: ...


def decide(resolved: KeyHolder, snapshot: Snapshot, *, route: bool = False) -> credentials.Credentials:
    """Keys of one model, or of a route: what the credentials concern says."""
    access = resolved.access
    request = credentials.CredentialRequest(
        name=resolved.name,
        namespace=resolved.namespace,
        uid=resolved.uid,
        url=resolved.url,
        ca=resolved.site.gateway_ca,
        generation=access.client_key.generation,
        overlap=timedelta(hours=access.client_key.overlap_hours),
        entries=tuple(credentials.KeyEntry(k.name, k.secret_ref.name, k.secret_ref.key) for k in access.api_keys),
        route=route,
    )
    previous = snapshot.previous_status.get("access") or {}
    return credentials.decide(request, snapshot.masters, snapshot.secrets, previous, snapshot.now)
