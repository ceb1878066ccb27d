"""What Envoy counted beside what was recorded, for one gateway."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Final

from smallmodel_operator.audit.completeness import Count
from smallmodel_operator.gateway.admin import Admin
from smallmodel_operator.gateway.record.answer import stamp

LISTENERS: Final = r"^http\.(https?|instead|judged)\.downstream_rq_"
TOTAL, ACTIVE = LISTENERS + "total$", LISTENERS + "active$"
FLUSH_SECONDS: Final = 1.0
"""Envoy writes lines it kept back every 0.5 s (the chart's --file-flush-interval-msec)."""


def life_of(admin_socket: Path) -> str:
    """Since when the Envoy of now runs, as a time of its log; empty while there is none.

    It makes its admin socket anew when it begins, after the one before it ended and before it takes a request: that
    moment tells the lines of the two apart.
    """
    try:
        return _stamped(os.stat(admin_socket).st_mtime)
    except OSError:
        return ""


@lru_cache(maxsize=4)
def _stamped(made: float) -> str:
    """Asked twice for each commit, and seldom another one."""
    return stamp(datetime.fromtimestamp(made, UTC))


class Counting:
    """Keeps the count of the Envoy of now. `recorded`: the life that is recorded, and how many records it has."""

    def __init__(
        self, admin: Admin, recorded: Callable[[], tuple[str, int]], read_all: Callable[[], Awaitable[bool]]
    ) -> None:
        """`read_all`: true when all that is in the log at its call has been recorded."""
        self._admin = admin
        self._recorded = recorded
        self._read_all = read_all
        self.now = Count("")
        self._settled = -1
        """Envoy's total when all of it was over and recorded; nothing has to be done until it is another."""

    async def look(self) -> Count:
        """Ask Envoy once; takes somewhat more than FLUSH_SECONDS.

        Raises:
            Unreachable: Envoy does not answer.
        """
        since, before = self._recorded()
        if await self._admin.total(TOTAL) == self._settled and since == self.now.since:
            return self.now
        active_before = await self._admin.total(ACTIVE)
        total = await self._admin.total(TOTAL)
        active = await self._admin.total(ACTIVE)
        # In this order neither can be wrong: what began in between is in no total, what ended only in the later one.
        least, most = total - active, total - active_before
        await asyncio.sleep(FLUSH_SECONDS)
        whole = await self._read_all()
        then, after = self._recorded()
        if since and then == since and whole:
            known = self.now if self.now.since == since else Count(since)
            self.now = known.seen(before, least, most, after)
            self._settled = total if before == least == most == after else -1
        return self.now
