"""The record of a decision, waited for in a bounded time; what follows it is made ready while it is written."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from smallmodel_operator.gateway.decide import metrics

SECONDS: Final = 1.0
"""How long it may take."""

Record = Callable[[Mapping[str, Any], bytes], Awaitable[None]]
"""Of a body, and of the content that it names, which is there before: what it returns is done when both are on the
disk. Raises NotRecorded or OSError, at once or when it is waited for."""

logger = logging.getLogger(__name__)


class NotRecorded(Exception):  # noqa: N818 - says what is the matter
    """A decision is not on the disk."""


class Writing:
    """One record on its way. Made in the loop; whoever makes it waits for it."""

    def __init__(self, record: Record, route: str, body: Mapping[str, Any], content: bytes = b"") -> None:
        """It begins here. `route`: its name, for the log."""
        self._route = route
        self._work: asyncio.Future[None] | None = None
        self._error: Exception | None = None
        try:
            self._work = asyncio.ensure_future(record(body, content))
        except (NotRecorded, OSError) as error:
            self._error = error

    async def done(self) -> bool:
        """Is it recorded? What is given up before its commit began is not recorded later; during it, it may be."""
        try:
            await self._waited()
        except (NotRecorded, OSError) as error:  # TimeoutError is one
            metrics.UNRECORDED.inc()
            logger.error("a decision on a request to %s is not recorded: %r", self._route, error)
            return False
        return True

    async def _waited(self) -> None:
        if self._work is None:
            raise self._error or NotRecorded
        # asyncio.timeout does the same for several times the price.
        late = asyncio.get_running_loop().call_later(SECONDS, self._work.cancel)
        try:
            await self._work
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            raise TimeoutError from None
        finally:
            late.cancel()
