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
KEPT_SECONDS: Final = 60.0
"""What was read counts for as long when reading fails: else one failure would let everybody go who waits for room."""

logger = logging.getLogger(__name__)


class Places:
    """Remembers what was read for a while."""

    def __init__(self, occupancy: Occupancy, children: Children, clock: Callable[[], float] = time.monotonic) -> None:
        self._occupancy, self._children, self._clock = occupancy, children, clock
        self._tried_at = self._known_at = float("-inf")
        self._known: tuple[Sequence[Object], Sequence[Object]] | None = None

    async def look(self) -> Site | None:
        """The nodes as they are; None: nodes, or pods of others, may not be read, or could not be for a while."""
        if self._clock() - self._tried_at > READ_SECONDS:
            found = await self._read()
            self._tried_at = now = self._clock()
            if found is not None:
                self._known, self._known_at = found, now
            elif now - self._known_at > KEPT_SECONDS:
                self._known = None
        if self._known is None:
            return None
        return Site(*self._known, self._children.all_pods())

    async def _read(self) -> tuple[Sequence[Object], Sequence[Object]] | None:
        try:
            nodes, others = await self._occupancy.nodes(), await self._occupancy.others()
        except (ApiError, aiohttp.ClientError, TimeoutError) as error:
            logger.debug("nodes cannot be read, so no room is shared: %s", error)
            return None
        return None if others is None else (nodes, others)
