"""The classifiers that routes name, read from their ConfigMaps by name, and again: nobody tells of a change.

What cannot be asked for is kept as it was; what is gone or broken is no classifier: rules by class match nothing then.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final

import aiohttp

from smallmodel_operator.cluster.client import ApiError, Client
from smallmodel_operator.gateway.routed import Reference
from smallmodel_operator.routing.choice import file, given
from smallmodel_operator.routing.choice.given import Given

LOOK_SECONDS: Final = 60.0
"""How often each is read."""
NEWS_SECONDS: Final = 5.0
"""The same while the operator has read another one, or there is none."""
TICK_SECONDS: Final = 0.5
MOST_CLASSES: Final = 256
"""Of all classifiers together: 128 MiB of the agent's memory."""
_UNREACHABLE: Final = (aiohttp.ClientError, OSError, TimeoutError)

logger = logging.getLogger(__name__)
Place = tuple[str, str, str, str]
"""Namespace, name of the ConfigMap, entry, and the field that names it."""


@dataclass(slots=True)
class _Held:
    given: Given | None = None
    mark: str = ""
    """Of the text that was read last, whatever came of it."""
    digest: str = ""
    """The one that text gives itself, where it could be read."""
    at: float = float("-inf")
    problem: str = ""


class Classifiers:
    """Those that are wanted. `wanted`: by which routes, asked again and again."""

    def __init__(
        self, client: Client, wanted: Callable[[], Collection[Reference]], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._client, self._wanted, self._clock = client, wanted, clock
        self._held: dict[Place, _Held] = {}

    def of(self, reference: Reference | None) -> Given | None:
        """The classifier of a reference; None: there is none that could be read."""
        held = self._held.get(_place(reference)) if reference else None
        return held.given if held else None

    async def run(self) -> None:
        """Read until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(TICK_SECONDS)

    async def look(self) -> None:
        """Read those whose turn it is; forget those that nobody wants any more."""
        wanted = {_place(reference): reference for reference in self._wanted()}
        for place in self._held.keys() - wanted.keys():
            del self._held[place]
        for place, reference in sorted(wanted.items()):
            held = self._held.setdefault(place, _Held())
            news = not held.mark or reference.digest not in ("", held.digest)
            if self._clock() - held.at >= (NEWS_SECONDS if news else LOOK_SECONDS):
                await self._read(place, held)

    async def _read(self, place: Place, held: _Held) -> None:
        namespace, name, key, field = place
        try:
            config_map = await self._client.get("ConfigMap", name, namespace)
            text = given.entry(config_map, name, key, field)
        except given.NotFound as error:
            held.given, held.mark, held.digest = None, "", ""
            self._say(place, held, str(error))
            return
        except (ApiError, *_UNREACHABLE) as error:
            self._say(place, held, f"it cannot be asked for, what was known is kept: {error}")
            return
        finally:
            held.at = self._clock()
        if (mark := given.fingerprint(text)) != held.mark:
            held.mark, held.digest = mark, ""
            await self._take(place, held, text)

    async def _take(self, place: Place, held: _Held, text: str) -> None:
        """Read a text that is new."""
        try:
            found = await asyncio.to_thread(given.read, text, place[-1])
        except file.Unusable as error:
            held.given = None
            self._say(place, held, str(error))
            return
        held.digest = found.digest
        if self._room(place) < found.planes:
            held.given, held.mark = None, ""  # asked for again: there may be room by then
            self._say(place, held, f"with those of other routes it has more than {MOST_CLASSES} classes, the most")
            return
        held.given, held.problem = found, ""
        logger.info("classifier %s/%s, entry %s: %s is in use", *place[:3], found.digest)

    def _room(self, place: Place) -> int:
        others = (held.given for other, held in self._held.items() if other != place)
        return MOST_CLASSES - sum(one.planes for one in others if one)

    @staticmethod
    def _say(place: Place, held: _Held, problem: str) -> None:
        if held.problem != problem:
            held.problem = problem
            logger.warning("classifier %s/%s, entry %s: %s", *place[:3], problem)


def _place(reference: Reference) -> Place:
    return reference.namespace, reference.name, reference.key, reference.field
