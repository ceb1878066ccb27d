"""What was spent, kept in a ConfigMap of our own namespace; the cloud's prices beside it; and who is on which node."""

import base64
import gzip
from collections.abc import Mapping
from typing import Any, Final

from smallmodel_operator.api.names import LABEL_MANAGED_BY, OPERATOR, PRICES, SPEND
from smallmodel_operator.cluster.children import placed
from smallmodel_operator.cluster.client import ApiError, Client
from smallmodel_operator.core.facts import Object

ENTRY: Final = "ledger.json.gz"
LARGEST_BYTES: Final = 700_000
"""As it is packed; a ConfigMap holds 1 MiB, in which base64 takes a third more."""
PODS_A_PAGE: Final = 200


class TooLarge(Exception):  # noqa: N818
    """The ledger does not fit into its ConfigMap."""


class Spend:
    """The one reader and writer of the ledger's ConfigMap."""

    def __init__(self, client: Client, namespace: str) -> None:
        self._client = client
        self._namespace = namespace
        self._version = ""
        """resourceVersion of what was last read or written; empty: there is none."""

    async def load(self) -> str | None:
        """The text kept; None: there is none.

        Raises:
            ValueError: what is there was packed by nobody we know.
            ApiError, aiohttp.ClientError, TimeoutError: it cannot be read.
        """
        found = await self._client.get("ConfigMap", SPEND, self._namespace)
        self._version = found["metadata"]["resourceVersion"] if found else ""
        return unpack(found) if found else None

    async def save(self, text: str) -> bool:
        """Keep a text; False: somebody else wrote since, so it has to be read again.

        Raises:
            TooLarge: it does not fit.
            ApiError, NotLeader, aiohttp.ClientError, TimeoutError: it cannot be written.
        """
        packed = gzip.compress(text.encode(), mtime=0)
        if len(packed) > LARGEST_BYTES:
            raise TooLarge(f"the ledger takes {len(packed)} bytes, {LARGEST_BYTES} fit")
        meta: dict[str, Any] = {"name": SPEND, "namespace": self._namespace, "labels": {LABEL_MANAGED_BY: OPERATOR}}
        data = {ENTRY: base64.b64encode(packed).decode()}
        obj = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "binaryData": data}
        try:
            if self._version:
                meta["resourceVersion"] = self._version
                answer = await self._client.replace(obj)
            else:
                answer = await self._client.create(obj)
        except ApiError as error:
            if error.status == 404 and self._version:  # removed by hand: what we know is written anew
                self._version = ""
                return await self.save(text)
            if error.status == 409:
                return False
            raise
        self._version = answer["metadata"]["resourceVersion"]
        return True

    async def prices(self) -> Object | None:
        """The ConfigMap with the cloud's prices; None: there is none."""
        return await self._client.get("ConfigMap", PRICES, self._namespace)


def unpack(config_map: Mapping[str, Any]) -> str:
    """The text in the ledger's ConfigMap.

    Raises:
        ValueError: there is none.
    """
    try:
        return gzip.decompress(base64.b64decode(config_map["binaryData"][ENTRY])).decode()
    except (KeyError, TypeError, OSError, EOFError, ValueError) as error:
        raise ValueError(f"ConfigMap {SPEND} has no {ENTRY} that can be read: {error!r:.200}") from error


class Occupancy:
    """Reads nodes, and pods that are no model's."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def nodes(self) -> list[dict[str, Any]]:
        """All nodes.

        Raises:
            ApiError, aiohttp.ClientError, TimeoutError: they cannot be read.
        """
        return await self._client.list("Node")

    async def others(self) -> list[dict[str, Any]] | None:
        """Pods on nodes that are no model's, a page at a time for memory's sake and only what counts of each; None:
        they may not be listed here."""
        found = []
        try:
            async for page in self._client.pages("Pod", PODS_A_PAGE, fieldSelector="spec.nodeName!="):
                found += [placed(pod) for pod in page if not _ours(pod)]
        except ApiError as error:
            if error.status == 403:
                return None
            raise
        return found

    async def profiles(self) -> list[dict[str, Any]]:
        """All ComputeProfiles.

        Raises:
            ApiError, aiohttp.ClientError, TimeoutError: they cannot be read.
        """
        return await self._client.list("ComputeProfile")

    async def any_model(self, places: tuple[str | None, ...]) -> bool:
        """Is there a SmallModel in these namespaces (None: anywhere)?"""
        for place in places:
            if await self._client.list("SmallModel", place, limit="1"):
                return True
        return False


def _ours(pod: Object) -> bool:
    return (pod["metadata"].get("labels") or {}).get(LABEL_MANAGED_BY) == OPERATOR
