"""A disk that does not answer raises nothing: whoever writes to it waits. Somebody beside it has to say so."""

import asyncio
from collections.abc import Callable
from typing import Final, TypeVar

SILENT_SECONDS: Final = 5.0
"""Far more than a commit of all that one takes at a time needs."""

T = TypeVar("T")


async def watched(work: "asyncio.Future[T]", silent: Callable[[], None]) -> T:
    """What comes of work in a thread; `silent` is called once where that takes longer than SILENT_SECONDS."""
    done, _ = await asyncio.wait({work}, timeout=SILENT_SECONDS)
    if not done:
        silent()
    return await work
