"""Keeps the access log within bounds: a file that is large enough is set aside, old ones are removed.

Envoy goes on writing to a renamed file until it is told to reopen its logs, so no line is lost on the way; when it
cannot be told just then, it is told later. Together the files take at most (keep + 1) times max_bytes, and what is
written between two looks.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from smallmodel_operator.gateway.accesslog.files import inode_of, rotated
from smallmodel_operator.gateway.admin import Unreachable

MAX_BYTES: Final = 64 * 1024 * 1024
KEEP: Final = 4
LOOK_SECONDS: Final = 5.0

logger = logging.getLogger(__name__)


class Rotator:
    """For one log. `reopen`: has Envoy reopen its logs, raises Unreachable when it cannot be told."""

    def __init__(
        self, path: Path, reopen: Callable[[], Awaitable[None]], *, max_bytes: int = MAX_BYTES, keep: int = KEEP
    ) -> None:
        if max_bytes < 1 or keep < 1:
            raise ValueError(f"max_bytes and keep must be at least 1, not {max_bytes} and {keep}")
        self.path = path
        self.problem = ""
        self._reopen = reopen
        self._max_bytes = max_bytes
        self._keep = keep

    async def run(self) -> None:
        """Look now and then, until cancelled."""
        while True:
            try:
                await self.check()
                self._trouble("")
            except (OSError, Unreachable) as error:
                self._trouble(f"the access log cannot be kept within bounds: {error}")
            await asyncio.sleep(LOOK_SECONDS)

    async def check(self) -> None:
        """One look.

        Raises:
            OSError: a file cannot be renamed or removed.
            Unreachable: Envoy could not be told; the next look tells it.
        """
        if await asyncio.to_thread(self._set_aside):  # a claim that hangs must not hold up the agent
            await self._reopen()

    def _set_aside(self) -> bool:
        """Is there an old file and no new one?"""
        old = rotated(self.path)
        if inode_of(self.path) is not None and self.path.stat().st_size >= self._max_bytes:
            number = old[-1][0] + 1 if old else 1
            aside = self.path.with_name(f"{self.path.name}.{number}")
            self.path.rename(aside)
            old.append((number, aside))
        for _, path in old[: -self._keep]:
            path.unlink(missing_ok=True)
        return bool(old) and inode_of(self.path) is None

    def _trouble(self, problem: str) -> None:
        if problem and problem != self.problem:
            logger.warning("%s", problem)
        self.problem = problem
