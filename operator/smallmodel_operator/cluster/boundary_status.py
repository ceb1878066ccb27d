"""Write the operator's condition on the ClusterBoundary, and nothing else of it: gateways write theirs themselves."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from smallmodel_operator.api.conditions import Condition, Report
from smallmodel_operator.api.names import API_VERSION
from smallmodel_operator.cluster.client import ApiError, Client
from smallmodel_operator.core.facts import Object


class BoundaryStatus:
    """Server-side apply on the status subresource: conditions are a map by type, so others' entries stay."""

    def __init__(self, client: Client) -> None:
        self._client = client

    @staticmethod
    def find(declared: Object, condition: Condition) -> Mapping[str, Any]:
        """One condition; empty when it is not there."""
        conditions = (declared.get("status") or {}).get("conditions") or ()
        return next((c for c in conditions if c.get("type") == condition.value), {})

    async def write(self, declared: Object, report: Report, now: datetime) -> None:
        """Write one condition; an object that is gone meanwhile is no error.

        Raises:
            ApiError: the API server refuses it.
        """
        meta, old = declared["metadata"], self.find(declared, report.condition)
        status = {True: "True", False: "False", None: "Unknown"}[report.status]
        stamp = now.strftime("%Y-%m-%dT%H:%M:%SZ")
        condition = {
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
            "status": {"conditions": [condition]},
        }
        try:
            await self._client.apply(body, force=True, subresource="status")
        except ApiError as error:
            if error.status not in (404, 409):
                raise
