"""Who else writes the replicas of a model's Deployment: set back once, and the second time left alone and named.

Two writers that set the same field back and forth would replace pods for ever. The gateways' 0 -> 1 is no such write.
"""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from smallmodel_operator.cluster.children import ModelKey
from smallmodel_operator.core.facts import Object
from smallmodel_operator.core.plan import Note
from smallmodel_operator.core.scaling import Stranger

AGAIN_SECONDS: Final = 600.0
"""Who writes twice within this time goes on with it; who has not for so long has stopped."""
RESTORED: Final = "ReplicasRestored"


@dataclass(slots=True)
class _Seen:
    generation: int
    """Of the Deployment as the stranger left it: seen again it is no second write."""
    at: float
    by: str
    left: bool = False


class Strangers:
    """`who` reads which manager of a Deployment's fields wrote its replicas last; empty: it does not say."""

    def __init__(self, who: Callable[[str, str], Awaitable[str]], clock: Callable[[], float] = time.monotonic) -> None:
        self._who, self._clock = who, clock
        self._seen: dict[ModelKey, _Seen] = {}

    async def look(
        self, model: ModelKey, live: Object | None, wrote: int | None
    ) -> tuple[Stranger | None, Note | None]:
        """Who is left alone, and an event where somebody's number is about to be set back.

        Args:
            model: whose Deployment it is.
            live: the Deployment.
            wrote: the replicas we wrote last; None: none since this process leads.
        """
        if live is None or wrote is None:
            self._seen.pop(model, None)
            return None, None
        now, found = self._clock(), int(live.get("spec", {}).get("replicas", 1))
        generation = int(live["metadata"].get("generation") or 0)
        seen = self._seen.get(model)
        if seen and seen.generation == generation and now - seen.at <= AGAIN_SECONDS:
            return (Stranger(seen.by, found), None) if seen.left else (None, None)
        if found == wrote or (wrote, found) == (0, 1):
            if seen and seen.left and now - seen.at > AGAIN_SECONDS:
                del self._seen[model]
            return None, None
        by = await self._who(*model) or "an unknown manager"
        again = seen is not None and now - seen.at <= AGAIN_SECONDS
        self._seen[model] = _Seen(generation, now, by, left=again)
        if again:
            return Stranger(by, found), None
        return None, Note(RESTORED, f"Replicas were set to {found} by {by}; they are set back, for they are decided by "
                                    "`spec.scaling`. If it happens again they are left alone.")  # fmt: skip

    def forget(self, model: ModelKey) -> None:
        """The model is gone."""
        self._seen.pop(model, None)
