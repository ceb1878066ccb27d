"""Write `status` of a SmallModel or ModelRoute, and nothing else of it."""

from collections.abc import Mapping
from typing import Any

from smallmodel_operator.api.names import API_VERSION
from smallmodel_operator.cluster.client import ApiError, Client
from smallmodel_operator.core.facts import Object


class StatusWriter:
    """Server-side apply on the status subresource, under the operator's field manager."""

    def __init__(self, client: Client, kind: str = "SmallModel") -> None:
        self._client = client
        self._kind = kind
        self._written: dict[str, tuple[int, Mapping[str, Any]]] = {}

    def latest(self, body: Object) -> Mapping[str, Any]:
        """The status as it is: what we wrote last, until the watch has caught up with it."""
        meta = body["metadata"]
        version, status = self._written.get(meta["uid"], (0, {}))
        if int(meta["resourceVersion"]) < version:
            return status
        self._written.pop(meta["uid"], None)
        return body.get("status") or {}

    def forget(self, uid: str) -> None:
        """The model is gone."""
        self._written.pop(uid, None)

    async def write(self, namespace: str, name: str, uid: str, status: Mapping[str, Any]) -> None:
        """Write the status; a model that is gone meanwhile is no error."""
        body = {
            "apiVersion": API_VERSION,
            "kind": self._kind,
            "metadata": {"name": name, "namespace": namespace, "uid": uid},
            "status": dict(status),
        }
        try:
            answer = await self._client.apply(body, force=True, subresource="status")
            self._written[uid] = (int(answer["metadata"]["resourceVersion"]), answer.get("status") or {})
        except ApiError as error:
            if error.status not in (404, 409):
                raise
