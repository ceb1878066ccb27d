"""The keys of one model: the credentials concern's question, put together from what is resolved."""

from datetime import timedelta

from smallmodel_operator.boundary import credentials
from smallmodel_operator.core.facts import Snapshot
from smallmodel_operator.resolve import Resolved


def decide(resolved: Resolved, snapshot: Snapshot) -> credentials.Credentials:
    """Keys of one model: what the credentials concern says."""
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
    )
    previous = snapshot.previous_status.get("access") or {}
    return credentials.decide(request, snapshot.masters, snapshot.secrets, previous, snapshot.now)
