"""Cutting what runs: for a moment Envoy takes every stream for one that has said nothing for too long.

A number in a file scales its idle timers to nothing (see bootstrap.py); no configuration changes, no listener closes,
so the next request is answered at once. It cuts all streams of the gateway or none.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from smallmodel_operator.gateway.admin import Admin, Unreachable
from smallmodel_operator.gateway.boundary.words import CUTTING
from smallmodel_operator.gateway.files import replace

CUT, RUN = b"1", b"0"
LEAST_SECONDS: Final = 0.2
"""Envoy looks at the number every 50 ms, and its workers hear of new routes a moment after it says that it has them."""
MOST_SECONDS: Final = 1.0
SETTLE_SECONDS: Final = 0.15
"""Until Envoy has surely looked at the number again: so long it cuts on, and has to say that it does."""
LOOK_SECONDS: Final = 0.05


async def cut(admin: Admin, file: Path, left: Callable[[], Awaitable[bool]]) -> None:
    """Cut everything that runs, and go on until nothing is `left`, a second at most.

    Raises:
        OSError: the folder in memory is full: nothing was cut.
        Unreachable: Envoy does not answer.
    """
    try:
        await admin.set_runtime(CUTTING, 100)
        write(file, CUT)
        began = time.monotonic()
        await asyncio.sleep(LEAST_SECONDS)
        while time.monotonic() - began < MOST_SECONDS and await left():  # noqa: ASYNC110 - a server's state
            await asyncio.sleep(LOOK_SECONDS)
    finally:
        write(file, RUN)
        await asyncio.sleep(SETTLE_SECONDS)
        with suppress(Unreachable):
            await admin.set_runtime(CUTTING, 0)


def write(path: Path, number: bytes) -> None:
    """Envoy looks when it is replaced."""
    replace(path, number)
