"""Write the operator's condition on the ClusterBoundary, and nothing else of it: gateways write theirs themselves."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from smallmodel_operator.api.conditions import Report
from smallmodel_operator.api.names import API_VERSION
from smallmodel_operator.boundary import enforcement
from smallmodel_operator.cluster.client import ApiError, Client
from smallmodel_operator.core.facts import Object


class BoundaryStatus:
    """Server-side apply on the status subresource: conditions are a map by type, so others' entries stay."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def write(self, declared: Object, report: Report, now: datetime, canary: Mapping[str, Any]) -> None:
        """Write BoundaryEnforced and what stands behind it; an object that is gone meanwhile is no error.

        Raises:
            ApiError: the API server refuses it.
        """
        meta, old = declared["metadata"], enforcement.condition(declared)
        status = {True: "True", False: "False", None: "Unknown"}[report.status]
        stamp = now.strftime("%Y-%m-%dT%H:%M:%SZ")
        written = {
            "type": report.condition.value,
            "status": status,
            "observedGeneration": meta.get("generation", 0),
            "lastTransitionTime": old["lastTransitionTime"] if old.get("status") == status else stamp,
            "reason": report.reason.value,
            "message": report.message[:4096],
        }
        body = {
            "apiVersion": API_VERSION,
            "kind": "ClusterBoundary",
            "metadata": {"name": meta["name"], "uid": meta["uid"]},
            "status": {"conditions": [written], **({"canary": dict(canary)} if canary else {})},
        }
        try:
            await self._client.apply(body, force=True, subresource="status")
        except ApiError as error:
            if error.status not in (404, 409):
                raise
