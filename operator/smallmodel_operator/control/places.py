"""Looks at the nodes of the pool and at who is on them, when models want more than they have."""

import logging
import time
from collections.abc import Callable, Sequence
from typing import Final

import aiohttp

from smallmodel_operator.cluster.children import Children
from smallmodel_operator.cluster.client import ApiError
from smallmodel_operator.cluster.spend import Occupancy
from smallmodel_operator.control.pool import Site
from smallmodel_operator.core.facts import Object

READ_SECONDS: Final = 15.0
"""Nodes and pods of others are read this often at most; models' own pods are watched."""

logger = logging.getLogger(__name__)


class Places:
    """Remembers what was read for a while."""

    def __init__(self, occupancy: Occupancy, children: Children, clock: Callable[[], float] = time.monotonic) -> None:
        self._occupancy, self._children, self._clock = occupancy, children, clock
        self._read_at = float("-inf")
        self._known: tuple[Sequence[Object], Sequence[Object]] | None = None

    async def look(self) -> Site | None:
        """The nodes as they are; None: nodes, or pods of others, may not be or cannot be read."""
        if self._clock() - self._read_at > READ_SECONDS:
            self._known = await self._read()
            self._read_at = self._clock()
        if self._known is None:
            return None
        return Site(*self._known, tuple(self._children.all_pods()))

    async def _read(self) -> tuple[Sequence[Object], Sequence[Object]] | None:
        try:
            nodes, others = await self._occupancy.nodes(), await self._occupancy.others()
        except (ApiError, aiohttp.ClientError, TimeoutError) as error:
            logger.debug("nodes cannot be read, so no room is shared: %s", error)
            return None
        return None if others is None else (nodes, others)
