"""Sizes of nodes, read at most once in a while: what a model may be refused for before it has a pod."""

import asyncio
import time
from collections.abc import Mapping
from typing import Final

import aiohttp

from smallmodel_operator.cluster.client import ApiError, Client
from smallmodel_operator.core.room import NodeSize, largest, size_of

NODES_SECONDS: Final = 30.0


class Nodes:
    """Remembers of each node its labels and what is allocatable."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._known: tuple[NodeSize, ...] = ()
        self._read_at = float("-inf")
        self._reading = asyncio.Lock()

    async def largest(self, selector: Mapping[str, str]) -> int | None:
        """Allocatable memory in bytes of the largest node with these labels; None when there is none or none is told.

        Asked for by every new model, in a burst by all of them; answered by one look.
        """
        async with self._reading:
            if time.monotonic() - self._read_at > NODES_SECONDS:
                self._known = await self._read()
                self._read_at = time.monotonic()
        return largest(self._known, selector)

    async def _read(self) -> tuple[NodeSize, ...]:
        try:
            return tuple(size_of(node) for node in await self._client.list("Node"))
        except (ApiError, aiohttp.ClientError, TimeoutError, KeyError, ValueError):
            return ()  # without the right to read nodes the scheduler says it, later
