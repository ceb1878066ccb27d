"""Waking a model for as long as somebody waits for it."""

import asyncio
import logging
import random
from collections.abc import Callable
from typing import Final

from smallmodel_operator.gateway.activate.ports import Ports
from smallmodel_operator.gateway.scale import NotWoken

AGAIN_SECONDS: Final = 1.0
"""How often it is looked whether the Deployment is at 0 (again) while no pod is to be seen."""
SELDOM_SECONDS: Final = 5.0
"""The same while there are pods that are not ready yet."""
BACKOFF_SECONDS: Final = (0.1, 5.0)
"""First and longest pause after a failure; each doubles the one before."""

logger = logging.getLogger(__name__)


async def keep_waking(ports: Ports, target: str, woke: Callable[[], None]) -> None:
    """Until cancelled: scale 0 -> 1 now, and again whenever it is at 0. `woke` is told of each time it was ours.

    A model that somebody else scales is left to them: they see what is held. So is one without room on the nodes to
    the operator, as long as there is one: its pod would only compete with those of models that go first.
    """
    failures, told = 0, False
    while True:
        try:
            known = ports.model(target)
            left = known and (known.external or (known.full and ports.operator_asks()))
            if not left and await ports.wake(target):
                woke()
            failures = 0
            pause = SELDOM_SECONDS if ports.not_ready(target) else AGAIN_SECONDS
        except NotWoken as error:
            pause, failures = backoff(failures), failures + 1
            (logger.warning if failures == 1 else logger.debug)("%s; trying again", error)
        except Exception:  # a bug, told once: who waits still waits, and the next try may do
            pause, failures = backoff(failures), failures + 1
            if not told:
                logger.exception("waking %s goes on after an error", target)
            told = True
        await asyncio.sleep(pause)


def backoff(failures: int) -> float:
    """Seconds to the next try, with jitter, so that gateways do not ask in step."""
    first, longest = BACKOFF_SECONDS
    return min(longest, first * 2.0 ** min(failures, 10)) * random.uniform(0.75, 1.25)  # noqa: S311 - no secret
