"""Which targets outside failed lately, as the access log says it: while one rests, what a rule would send there is
answered inside. The clock is handed in."""

import time
from collections.abc import Callable
from typing import Final

REST_SECONDS: Final = 10.0
"""How long nothing is sent by rules to a target that failed; then one request tries, and others wait as long again."""
FAILED: Final = 500
"""Statuses from here on. The egress's own errors are among them, and what Envoy says where nobody answers."""
LIMITED: Final = 429
"""Who takes no more now is left alone, too."""


class Outages:
    """Of one gateway, by `<namespace>/<route>/<target>`. For two threads: the agent's, and who reads the log."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._rests: dict[str, float] = {}

    def came(self, target: str, status: int) -> None:
        """What came of a request that was sent to a target. 0: its caller left before, which says nothing."""
        if status >= FAILED or status == LIMITED:
            self._rests[target] = self._clock() + REST_SECONDS
        elif status:
            self._rests.pop(target, None)

    def resting(self, target: str) -> bool:
        """Is it left alone now? Whoever is told no after a failure is the one who tries."""
        until, now = self._rests.get(target), self._clock()
        if until is None:
            return False
        if now >= until:
            self._rests[target] = now + REST_SECONDS
        return now < until
