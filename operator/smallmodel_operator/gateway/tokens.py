"""Who signs ServiceAccount tokens: issuer and public keys, asked from the API server and asked again."""

import asyncio
import json
import logging
from collections.abc import Callable, Mapping
from typing import Any, Final

import aiohttp

from smallmodel_operator.cluster.client import ApiError, Client
from smallmodel_operator.gateway.state import Issuer

REFRESH_SECONDS: Final = 300.0
"""A new signing key is published long before tokens are signed with it."""
RETRY_SECONDS: Final = 5.0
DISCOVERY, KEYS = "/.well-known/openid-configuration", "/openid/v1/jwks"

logger = logging.getLogger(__name__)


def issuer_of(discovery: Mapping[str, Any], keys: Mapping[str, Any]) -> Issuer:
    """Read the two answers.

    Raises:
        ValueError: they lack an issuer or keys.
    """
    issuer, listed = discovery.get("issuer"), keys.get("keys")
    if not isinstance(issuer, str) or not issuer:
        raise ValueError("the API server names no issuer of ServiceAccount tokens")
    if not isinstance(listed, list) or not listed:
        raise ValueError("the API server publishes no keys for ServiceAccount tokens")
    # Sorted: the same keys must give the same listener, or every refresh would drain connections.
    ordered = sorted(listed, key=lambda key: json.dumps(key, sort_keys=True))
    return Issuer(issuer, json.dumps({"keys": ordered}, sort_keys=True, separators=(",", ":")))


class Tokens:
    """Keeps the issuer; the last one known stays when the API server cannot be asked."""

    def __init__(self, client: Client, changed: Callable[[Issuer], None], known: Issuer | None = None) -> None:
        self._client = client
        self._changed = changed
        self.issuer = known
        self.problem = ""
        self.asked = False
        """The API server has been asked, whatever it answered."""

    async def run(self) -> None:
        """Ask until cancelled."""
        while True:
            known = await self.refresh()
            self.asked = True
            await asyncio.sleep(REFRESH_SECONDS if known else RETRY_SECONDS)

    async def refresh(self) -> bool:
        """Ask once; False when there was no usable answer."""
        try:
            discovery = await self._client.request("GET", DISCOVERY, accept="*/*")
            found = issuer_of(discovery, await self._client.request("GET", KEYS, accept="*/*"))
        except (ApiError, aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            if not self.problem:
                logger.warning("keys of ServiceAccount tokens cannot be fetched: %s", error)
            kept = "those known stay" if self.issuer else "ServiceAccount tokens are refused until then"
            self.problem = f"keys of ServiceAccount tokens cannot be fetched, {kept}: {error}"
            return False
        self.problem = ""
        if found != self.issuer:
            self.issuer = found
            self._changed(found)
        return True
