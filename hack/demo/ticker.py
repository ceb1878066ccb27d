"""Long steps say that they go on, and for how long they have."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from hack.install.steps import say

TICK_SECONDS: Final = 5.0


@contextmanager
def working(what: str, tick_seconds: float = TICK_SECONDS) -> Iterator[None]:
    """Say what is done now, again every few seconds while it lasts, and how long it took."""
    began, done = time.monotonic(), threading.Event()

    def tick() -> None:
        while not done.wait(tick_seconds):
            say(f"      {what} ... {time.monotonic() - began:.0f} s")

    say(f"      {what} ...")
    ticker = threading.Thread(target=tick, daemon=True)
    ticker.start()
    try:
        yield
    finally:
        done.set()
        ticker.join()
    say(f"      {what}: {time.monotonic() - began:.1f} s")
