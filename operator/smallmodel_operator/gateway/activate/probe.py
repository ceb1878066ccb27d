"""Asking a pod whether it serves yet, sooner than the kubelet does."""

from typing import Final, Protocol

import aiohttp

from smallmodel_operator.gateway.activate.coldstart import Answer
from smallmodel_operator.gateway.state import Endpoint

TIMEOUT: Final = aiohttp.ClientTimeout(total=1.0, sock_connect=0.1)
"""Connecting gets little: a first packet lost while the pod's network is set up is repeated only after a second."""


class Probe(Protocol):
    """One question."""

    async def __call__(self, endpoint: Endpoint) -> Answer: ...


class HttpProbe:
    """GET /health, which engines answer without a key. Use as `async with HttpProbe() as probe:`."""

    async def __aenter__(self) -> "HttpProbe":
        self._session = aiohttp.ClientSession(timeout=TIMEOUT, connector=aiohttp.TCPConnector(limit=0))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def __call__(self, endpoint: Endpoint) -> Answer:
        try:
            async with self._session.get(f"http://{host(endpoint.address)}:{endpoint.port}/health") as response:
                return Answer.READY if response.status == 200 else Answer.LOADING
        except (aiohttp.ClientError, OSError, TimeoutError):
            return Answer.NOTHING


def host(address: str) -> str:
    """An address as it stands in a URL."""
    return f"[{address}]" if ":" in address else address
