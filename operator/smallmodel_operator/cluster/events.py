"""Events on a SmallModel, a ModelRoute or the operator's Deployment, each once until it changes."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

import aiohttp

from smallmodel_operator.api.names import API_VERSION, OPERATOR, short_hash
from smallmodel_operator.cluster.client import ApiError, Client
from smallmodel_operator.core.facts import Object

REPEAT_SECONDS: Final = 3600.0
"""The same event about the same object is sent again only after this long."""


class Events:
    """Sends events; a lost event is never a reason to fail a reconcile."""

    def __init__(self, client: Client, identity: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._identity = identity[:128]
        self._clock = clock
        self._sent: dict[tuple[str, str, str], float] = {}

    async def send(self, body: Object, *, warning: bool, reason: str, action: str, note: str) -> bool:
        """Send an event unless the same was sent lately; True when it was sent."""
        meta = body["metadata"]
        key = (meta["uid"], reason, short_hash(note))
        now = self._clock()
        self._drop_old(now)
        if key in self._sent:
            return False
        self._sent[key] = now
        stamp = datetime.now(UTC)
        event = {
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {
                "name": f"{meta['name']}.{short_hash([*key, stamp.isoformat()])}",
                "namespace": meta["namespace"],
            },
            "eventTime": stamp.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "type": "Warning" if warning else "Normal",
            "reason": reason,
            "action": action,
            "note": note[:1024],
            "reportingController": OPERATOR,
            "reportingInstance": self._identity,
            "regarding": {
                "apiVersion": body.get("apiVersion", API_VERSION),
                "kind": body.get("kind", "SmallModel"),
                "name": meta["name"],
                "namespace": meta["namespace"],
                "uid": meta["uid"],
            },
        }
        try:
            await self._client.create(event)
        except (ApiError, aiohttp.ClientError, TimeoutError):
            self._sent.pop(key, None)
            return False
        return True

    def _drop_old(self, now: float) -> None:
        """Notes with numbers in them never repeat; the oldest stand first."""
        while self._sent and now - next(iter(self._sent.values())) >= REPEAT_SECONDS:
            del self._sent[next(iter(self._sent))]

    def forget(self, uid: str) -> None:
        """The model is gone."""
        for key in [k for k in self._sent if k[0] == uid]:
            del self._sent[key]
