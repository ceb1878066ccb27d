"""The end of a process: what waits for it, and one that must come whatever hangs."""

import asyncio
import faulthandler
import logging
import os
import sys
import threading
import time
from typing import Final

SECONDS: Final = 15.0
"""More than an orderly end takes: five for the watches to stop, and connections to be closed."""

logger = logging.getLogger(__name__)


def end_within(code: int, seconds: float = SECONDS) -> None:
    """Ends this process with a code after so long, unless it has ended before. What its threads did then is printed
    first: it should have ended by itself."""

    faulthandler.dump_traceback_later(seconds + 2, exit=True)  # with code 1; needs neither Python nor its lock

    def end() -> None:
        time.sleep(seconds)
        try:
            say()
        finally:
            os._exit(code)

    def say() -> None:
        logger.error(
            "this process has not ended within %.0f s of its order to: it is ended; its threads were at:", seconds
        )
        faulthandler.dump_traceback(sys.stderr, all_threads=True)
        sys.stderr.flush()

    threading.Thread(target=end, name="end", daemon=True).start()


async def unless(stop: asyncio.Event, work: object, *others: "asyncio.Future[None]") -> object:
    """The result of `work` (True for None), or None when the process shall stop first."""
    task = asyncio.ensure_future(work)  # type: ignore[call-overload]
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({task, stopping, *others}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not task.done():
        task.cancel()
        return None
    result = task.result()
    return True if result is None else result
